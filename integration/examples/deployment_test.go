// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// A global options block stands before everything but comments.
var optionsBlock = regexp.MustCompile(`(?s)(?:^|\n)\{\n.*?\n\}\n`)

// startDeployment serves the Caddyfile of a deployment, without global options of
// its own, with its key in a file.
func startDeployment(t *testing.T, up *caddytest.Upstream, directory, variable, value string) *caddytest.Server {
	t.Helper()
	config := optionsBlock.ReplaceAllString(caddytest.ReadExample(t, directory, "Caddyfile"), "")
	t.Setenv("XAI_API_KEY", "")
	return caddytest.StartBy(t, up, func(s *caddytest.Server) error {
		t.Setenv("SITE_ADDRESS", s.URL)
		t.Setenv("XAI_URL", up.URL)
		t.Setenv(variable, value)
		return s.LoadVerbatim(config)
	})
}

// keyFile is where the Caddyfile of a deployment looks for the key if nobody says
// otherwise.
func keyFile(t *testing.T, directory string) string {
	t.Helper()
	adapted, err := caddytest.Adapt(caddytest.ReadExample(t, directory, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`"api_key":"\{file\.([^}]*)\}"`).FindSubmatch(adapted)
	if match == nil {
		t.Fatalf("there is no key file in %s", adapted)
	}
	return string(match[1])
}

func TestExampleDeploymentsMint(t *testing.T) {
	for directory, variable := range map[string]string{
		"docker": "XAI_API_KEY_FILE", "kubernetes": "XAI_API_KEY_FILE", "systemd": "CREDENTIALS_DIRECTORY",
	} {
		t.Run(directory, func(t *testing.T) {
			secrets := filepath.ToSlash(t.TempDir())
			file := path.Join(secrets, "xai_api_key")
			caddytest.WriteFile(t, file, "old\n")
			value := file
			if variable == "CREDENTIALS_DIRECTORY" {
				value = secrets
			}
			up := caddytest.NewUpstream(t)
			s := startDeployment(t, up, directory, variable, value)
			if got := s.Post(); got.StatusCode != http.StatusBadGateway {
				t.Fatalf("the old key got %d, want 502", got.StatusCode)
			}
			caddytest.WriteFile(t, file, caddytest.Key+"\n")
			up.MustOpenOneSession(t, caddytest.DecodeToken(t, s.Post()).Value)
			if directory != "systemd" {
				if got := s.Do(http.MethodGet, s.URL+"/healthz"); got.StatusCode != http.StatusOK || got.Body != "ok" {
					t.Errorf("the health check got %d %q", got.StatusCode, got.Body)
				}
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if got := s.Post(); got.StatusCode != http.StatusInternalServerError {
				t.Errorf("no key got %d, want 500", got.StatusCode)
			}
		})
	}
}

// TestExamplesHoldNoKey looks for what a key looks like: xAI's begin with "xai-".
func TestExamplesHoldNoKey(t *testing.T) {
	t.Chdir(caddytest.Root(t))
	pattern := regexp.MustCompile(`xai-[A-Za-z0-9]{20,}|XAI_API_KEY: *\S`)
	err := filepath.WalkDir("examples", func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name) //nolint:gosec // nobody else changes the tree meanwhile
		if found := pattern.Find(content); found != nil {
			t.Errorf("%s has %q", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// decodeYAML wants exactly the fields of target, and one document.
func decodeYAML(t *testing.T, target any, elements ...string) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(caddytest.ReadExample(t, elements...)))
	decoder.KnownFields(true)
	if err := decoder.Decode(target); err != nil {
		t.Fatalf("%s: %v", path.Join(elements...), err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: something follows: %v", path.Join(elements...), err)
	}
}

func TestExampleCompose(t *testing.T) {
	type service struct {
		Build       string
		Restart     string
		Ports       []string
		Secrets     []string
		Volumes     []string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Healthcheck struct {
			Test        []string
			Interval    string
			Timeout     string
			StartPeriod string `yaml:"start_period"`
		}
	}
	var compose struct {
		Services map[string]service
		Secrets  map[string]struct{ File string }
		Volumes  map[string]any
	}
	decodeYAML(t, &compose, "docker", "compose.yaml")
	caddy := compose.Services["caddy"]

	if len(caddy.Secrets) != 1 || compose.Secrets[caddy.Secrets[0]].File == "" || keyFile(t, "docker") != "/run/secrets/"+caddy.Secrets[0] {
		t.Errorf("the secrets are %v, and the Caddyfile reads %s", caddy.Secrets, keyFile(t, "docker"))
	}
	// What Caddy writes to has to be writable, where nothing else is.
	if !slices.Equal(caddy.Volumes, []string{"data:/data", "config:/config"}) || len(compose.Volumes) != 2 ||
		!strings.Contains(caddytest.ReadExample(t, "docker", "Dockerfile"), "\nRUN chown -R 1000:1000 /data /config\nUSER 1000:1000\n") {
		t.Errorf("the volumes are %v", caddy.Volumes)
	}
	if !caddy.ReadOnly || !slices.Equal(caddy.CapDrop, []string{"ALL"}) {
		t.Errorf("got %+v", caddy)
	}
	if test := strings.Join(caddy.Healthcheck.Test, " "); !strings.HasSuffix(test, "http://127.0.0.1:8080/healthz") ||
		!strings.Contains(caddytest.ReadExample(t, "docker", "Caddyfile"), "{$SITE_ADDRESS::8080}") {
		t.Errorf("the health check is %q", test)
	}
}

func TestExampleDockerfile(t *testing.T) {
	dockerfile := caddytest.ReadExample(t, "docker", "Dockerfile")
	command := caddytest.DockerfileCommand(t)
	if !slices.Equal(command, []string{"xcaddy", "build", command[2], "--with", caddytest.Module}) {
		t.Errorf("it builds by %q", command)
	}
	version := strings.TrimPrefix(command[2], "v")
	for _, want := range []string{"FROM caddy:" + version + "-builder AS builder\n", "FROM caddy:" + version + "\n", "ENV XCADDY_SETCAP=0\n"} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("it has no %q", want)
		}
	}
	if ignored := caddytest.ReadExample(t, "docker", ".dockerignore"); !strings.Contains(ignored, "\n*\n!Caddyfile\n") {
		t.Error("a builder may be sent the key")
	}
}

func TestExampleSystemd(t *testing.T) {
	dropIn := caddytest.ReadExample(t, "systemd", "xai-api-key.conf")
	match := regexp.MustCompile(`(?m)^LoadCredential=(\w+):(/\S+)$`).FindStringSubmatch(dropIn)
	if len(match) != 3 || keyFile(t, "systemd") != "/run/credentials/caddy.service/"+match[1] {
		t.Errorf("the drop-in says %q, and the Caddyfile reads %s", match, keyFile(t, "systemd"))
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze to ask")
	}
	units := t.TempDir()
	if err := os.Mkdir(filepath.Join(units, "caddy.service.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable() // any program that exists
	if err != nil {
		t.Fatal(err)
	}
	caddytest.WriteFile(t, filepath.Join(units, "caddy.service"), "[Service]\nType=notify\nUser=nobody\nExecStart="+self+"\n")
	caddytest.WriteFile(t, filepath.Join(units, "caddy.service.d", "xai-api-key.conf"), dropIn)
	output, err := exec.CommandContext(t.Context(), analyze, //nolint:gosec // what LookPath found
		"verify", "--man=no", filepath.Join(units, "caddy.service")).CombinedOutput()
	if err != nil || strings.Contains(string(output), "xai-api-key.conf") {
		t.Errorf("systemd-analyze says %v: %s", err, output)
	}
}
