// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// need skips a test where something is missing, or fails it if nothing may be.
func need(t *testing.T, problem error) {
	t.Helper()
	if problem == nil {
		return
	}
	if os.Getenv("E2E_REQUIRE") != "" {
		t.Fatalf("E2E_REQUIRE is set: %v", problem)
	}
	t.Skip(problem)
}

// The libraries are installed once, before the tests.
var (
	errLibraries error
	errNode      error
	node         string
)

func TestMain(m *testing.M) {
	errLibraries = install()
	node, errNode = findNode()
	code := m.Run()
	stopChromium()
	os.Exit(code)
}

// install installs what package-lock.json lists, unless that is there already.
func install() error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is missing")
	}
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		return err
	}
	if installed, err := os.Stat("node_modules/.package-lock.json"); err == nil && installed.ModTime().After(lock.ModTime()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error") //nolint:gosec // it is the npm of whoever runs the tests
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("npm cannot install the libraries: %w\n%s", err, output)
	}
	return nil
}

// findNode returns the Node of package-lock.json, or where there is none for this
// system the one that is installed, if it is new enough for the libraries.
func findNode() (string, error) {
	const oldest = 22
	if path, err := filepath.Abs("node_modules/.bin/node"); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("node")
	if err != nil {
		return "", errors.New("Node is missing")
	}
	version, err := exec.Command(path, "--version").Output() //nolint:noctx,gosec // it takes no time, and is the Node of whoever runs the tests
	if err != nil {
		return "", err
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if number, err := strconv.Atoi(major); err != nil || number < oldest {
		return "", fmt.Errorf("the libraries need Node %d, and this is %s", oldest, version)
	}
	return path, nil
}
