// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"regexp"
	"strings"
	"testing"
)

// Module is the path of this module, by which xcaddy knows the plugin.
const Module = "github.com/caddy-xai/caddy-xai-ephemeral-token"

// DockerfileCommand returns the xcaddy command of the Dockerfile in examples.
func DockerfileCommand(t *testing.T) []string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^RUN (xcaddy build .*)$`).FindStringSubmatch(ReadExample(t, "docker", "Dockerfile"))
	if match == nil {
		t.Fatal("the Dockerfile builds no Caddy")
	}
	return strings.Fields(match[1])
}

// ReadmeCommand returns the command with a prefix in the README of an example.
func ReadmeCommand(t *testing.T, directory, prefix string) []string {
	t.Helper()
	text := strings.ReplaceAll(ReadExample(t, directory, "README.md"), "\\\n", "")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return strings.Fields(line)
		}
	}
	t.Fatalf("the README has no command %q", prefix)
	return nil
}

// ReadExample returns the content of a file in examples.
func ReadExample(t *testing.T, elements ...string) string {
	t.Helper()
	return ReadRepoFile(t, append([]string{"examples"}, elements...)...)
}
