// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import "testing"

func TestExposesKey(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"https://api.x.ai/v1":        false,
		"http://api.x.ai/v1":         true,
		"http://192.0.2.1:8080/v1":   true,
		"http://[2001:db8::1]/v1":    true,
		"http://localhost.evil.com":  true,
		"http://localhost:8081/v1":   false,
		"http://xai.localhost/v1":    false,
		"http://127.0.0.1:8081/v1":   false,
		"http://127.9.9.9/v1":        false,
		"http://[::1]:8081/v1":       false,
		"http://[::ffff:127.0.0.1]/": false,
	} {
		t.Run(endpoint, func(t *testing.T) {
			if got := exposesKey(endpoint); got != want {
				t.Errorf("got %t", got)
			}
		})
	}
}
