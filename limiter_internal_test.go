// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import "testing"

func TestNetwork(t *testing.T) {
	tests := []struct {
		name, address, want string
	}{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4 in IPv6 form", "::ffff:192.0.2.1", "192.0.2.1"},
		{"IPv6 by its network", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"IPv6 with a zone", "fe80::1%eth0", "fe80::/64"},
		{"a Unix socket", "@", "@"},
		{"a name", "alice", "alice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := network(test.address); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
