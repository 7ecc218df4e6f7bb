// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestExampleRateLimitCompose holds that the two instances differ in nothing but their
// ports, and that the store keeps what it counts. What the instances do is shown by
// TestXcaddyRateLimit.
func TestExampleRateLimitCompose(t *testing.T) {
	type service struct {
		Build       string
		Ports       []string
		Environment map[string]string
		Secrets     []string
		Command     []string
		Volumes     []string
	}
	var compose struct {
		Services map[string]service
		Secrets  map[string]struct{ File string }
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal([]byte(caddytest.ReadExample(t, "rate-limit", "compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	first, second, store := compose.Services["first"], compose.Services["second"], compose.Services["valkey"]
	if len(first.Ports) != 1 || reflect.DeepEqual(first.Ports, second.Ports) {
		t.Errorf("the ports are %q and %q", first.Ports, second.Ports)
	}
	first.Ports, second.Ports = nil, nil
	if !reflect.DeepEqual(first, second) || first.Build != "." {
		t.Errorf("the instances are %+v and %+v", first, second)
	}
	if len(first.Secrets) != 1 || !reflect.DeepEqual(first.Secrets, store.Secrets) || compose.Secrets[first.Secrets[0]].File == "" ||
		first.Environment["REDIS_URL"] != "redis://:{file./run/secrets/"+first.Secrets[0]+"}@valkey:6379" {
		t.Errorf("the secrets are %q, and the store is %s", first.Secrets, first.Environment["REDIS_URL"])
	}
	command := strings.Join(store.Command, " ")
	for _, needed := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "/run/secrets/" + first.Secrets[0]} {
		if !strings.Contains(command, needed) {
			t.Errorf("the store is started without %s", needed)
		}
	}
	if !strings.Contains(caddytest.ReadExample(t, "rate-limit", "Caddyfile"), "limit_store redis {$REDIS_URL:") {
		t.Error("the Caddyfile has another store")
	}
}
