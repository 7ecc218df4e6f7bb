// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// requirePrometheus skips the test where there is no Prometheus, or fails it if
// PROMETHEUS_REQUIRE is set.
func requirePrometheus(t *testing.T) {
	t.Helper()
	for _, name := range []string{"prometheus", "promtool"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("PROMETHEUS_REQUIRE") != "" {
				t.Fatalf("PROMETHEUS_REQUIRE is set: %v", err)
			}
			t.Skipf("needs Prometheus, which Debian has as a package of that name: %v", err)
		}
	}
}

// promtool runs promtool in a directory, and fails the test if it does.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "promtool", args...) //nolint:gosec // the arguments are the test's own
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// prometheus is a Prometheus with the configuration of the example.
type prometheus struct {
	t      *testing.T
	url    string
	client *http.Client
}

// startPrometheus has Prometheus scrape a Caddy, and evaluate the rules, five times
// a second. What it knows of last week is there from the start on.
func startPrometheus(t *testing.T, caddy, lastWeek string) *prometheus {
	t.Helper()
	address := caddytest.FreeAddresses(t, 1)[0]
	dir := t.TempDir()
	caddytest.WriteFile(t, filepath.Join(dir, "rules.yml"), caddytest.ReadExample(t, "monitoring", "rules.yml"))
	config := caddytest.ReadExample(t, "monitoring", "prometheus.yml")
	for was, becomes := range map[string]string{"15s": "200ms", "localhost:2019": strings.TrimPrefix(caddy, "http://")} {
		if !strings.Contains(config, was) {
			t.Fatalf("prometheus.yml has no %s", was)
		}
		config = strings.ReplaceAll(config, was, becomes)
	}
	caddytest.WriteFile(t, filepath.Join(dir, "prometheus.yml"), config)
	caddytest.WriteFile(t, filepath.Join(dir, "lastweek.txt"), lastWeek)
	promtool(t, dir, "tsdb", "create-blocks-from", "openmetrics", "lastweek.txt", "data")

	command := exec.CommandContext(t.Context(), "prometheus", //nolint:gosec // the arguments are the test's own
		"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address)
	var output strings.Builder
	command.Dir, command.Stdout, command.Stderr = dir, &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when t.Context has ended the process
		_ = command.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	p := &prometheus{t: t, url: "http://" + address, client: caddytest.NewClient(t)}
	caddytest.Eventually(t, "Prometheus is ready", func() bool {
		resp, err := p.get("/-/ready")
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return p
}

func (p *prometheus) get(path string) (caddytest.Answer, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		return caddytest.Answer{}, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return caddytest.Answer{}, err
	}
	defer resp.Body.Close()
	return caddytest.ReadAnswer(resp)
}

// ask decodes what the API has at a path.
func (p *prometheus) ask(path string, data any) error {
	got, err := p.get("/api/v1/" + path)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// series is what a query found of one combination of labels.
type series struct {
	Metric map[string]string
	Value  [2]any   // a time and a number in quotes
	Values [][2]any // the same at several times
}

func number(sample [2]any) float64 {
	text, _ := sample[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return value
}

// query evaluates an expression now.
func (p *prometheus) query(expression string) ([]series, error) {
	var data struct{ Result []series }
	err := p.ask("query?query="+url.QueryEscape(expression), &data)
	return data.Result, err
}

// queryRange evaluates an expression each second from start until now.
func (p *prometheus) queryRange(expression string, start time.Time) ([]series, error) {
	var data struct{ Result []series }
	err := p.ask(fmt.Sprintf("query_range?step=1&start=%d&end=%d&query=%s",
		start.Unix(), time.Now().Unix(), url.QueryEscape(expression)), &data)
	return data.Result, err
}

// rule is one of rules.yml as Prometheus evaluated it last.
type rule struct {
	Name, Type, Query, State, Health, LastError string
}

// rules returns all rules, once each was evaluated.
func (p *prometheus) rules() []rule {
	p.t.Helper()
	var all []rule
	caddytest.Eventually(p.t, "each rule is evaluated", func() bool {
		var data struct{ Groups []struct{ Rules []rule } }
		if err := p.ask("rules", &data); err != nil {
			p.t.Fatal(err)
		}
		all = nil
		for _, group := range data.Groups {
			all = append(all, group.Rules...)
		}
		for _, r := range all {
			if r.Health == "unknown" {
				return false
			}
		}
		return len(all) > 0
	})
	return all
}

// active returns the alerts that fire, or will if what they say lasts.
func (p *prometheus) active() map[string]bool {
	p.t.Helper()
	alerts := make(map[string]bool)
	for _, r := range p.rules() {
		if r.Health != "ok" {
			p.t.Fatalf("%s: %s", r.Name, r.LastError)
		}
		if r.Type == "alerting" && r.State != "inactive" {
			alerts[r.Name] = true
		}
	}
	return alerts
}

// lastWeek returns tokens that were handed out around this time a week ago, some
// each minute, in the words of OpenMetrics.
func lastWeek(now time.Time, eachMinute int) string {
	const metric = "caddy_xai_ephemeral_token_issued"
	var text strings.Builder
	text.WriteString("# TYPE " + metric + " counter\n")
	for minute := range 100 {
		at := now.AddDate(0, 0, -7).Add(time.Duration(minute-80) * time.Minute)
		fmt.Fprintf(&text, "%s_total{source=\"minted\"} %d %d\n", metric, minute*eachMinute, at.Unix())
	}
	return text.String() + "# EOF\n"
}
