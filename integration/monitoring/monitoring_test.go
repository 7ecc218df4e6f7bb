// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestRules has promtool check the configuration and the rules, and run their own
// tests, which have to leave none out.
func TestRules(t *testing.T) {
	requirePrometheus(t)
	dir := filepath.Join(caddytest.Root(t), "examples", "monitoring")
	promtool(t, dir, "check", "config", "prometheus.yml")
	promtool(t, dir, "check", "rules", "--lint-fatal", "rules.yml")
	fires, rests := make(map[string]bool), make(map[string]bool)
	for _, file := range []string{"rules_test.yml", "rules_long_test.yml"} {
		promtool(t, dir, "test", "rules", file)
		for _, alert := range testedAlerts(t, file) {
			if len(alert.Expected) > 0 {
				fires[alert.Name] = true
			} else {
				rests[alert.Name] = true
			}
		}
	}
	readme := caddytest.ReadExample(t, "monitoring", "README.md")
	for _, match := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(caddytest.ReadExample(t, "monitoring", "rules.yml"), -1) {
		if alert := match[1]; !fires[alert] || !rests[alert] {
			t.Errorf("no test has %s fire, or none has it rest", alert)
		}
		if !strings.Contains(readme, "`"+match[1]+"`") {
			t.Errorf("the README does not say what %s means", match[1])
		}
	}
}

// testedAlert is what a unit test says of an alert at some time.
type testedAlert struct {
	Name     string `yaml:"alertname"`
	Expected []any  `yaml:"exp_alerts"`
}

func testedAlerts(t *testing.T, file string) (all []testedAlert) {
	t.Helper()
	var tests struct {
		Tests []struct {
			Alerts []testedAlert `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(caddytest.ReadExample(t, "monitoring", file)), &tests); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests.Tests {
		all = append(all, test.Alerts...)
	}
	return all
}

// TestDashboardAndAlerts has a Prometheus watch a Caddy to which all happens that
// the alerts and the dashboard are there for.
func TestDashboardAndAlerts(t *testing.T) {
	requirePrometheus(t)
	s := startSite(t)
	p := startPrometheus(t, s.AdminURL, lastWeek(time.Now(), 4))
	waitActive := func(when string, want ...string) {
		t.Helper()
		var got []string
		defer func() {
			if t.Failed() {
				t.Errorf("%s %v are active, want %v", when, got, want)
			}
		}()
		slices.Sort(want)
		caddytest.Eventually(t, "other alerts are active", func() bool {
			got = slices.Sorted(maps.Keys(p.active()))
			return slices.Equal(got, want)
		})
	}

	waitActive("while nobody asks", "XAITokenFewerThanLastWeek")
	s.everything()
	waitActive("when everything happened", "XAITokenCeilingNear", "XAITokenCeilingReached", "XAITokenKeyRefused",
		"XAITokenLimitedByXAI", "XAITokenFailing", "XAITokenLimitStoreDown", "XAITokenOriginsRefused", "XAITokenMoreThanLastWeek")
	checkQueries(t, p, s.Metrics())

	if err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}}}`), true); err != nil {
		t.Fatal(err)
	}
	caddytest.Eventually(t, "the missing metrics are noticed", func() bool { return p.active()["XAITokenNotScraped"] })
}

// checkQueries evaluates each query of the dashboard, and each recorded rule. They
// find something, and not only zeros. Between them they ask for each metric.
func checkQueries(t *testing.T, p *prometheus, metrics map[string]float64) {
	t.Helper()
	d := readDashboard(t)
	d.checkVariables(t, p)
	queries := make(map[string]string)
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			queries[d.fill(t, target.Expr, "5m")] = panel.Title
		}
	}
	if len(queries) < len(d.Panels) {
		t.Errorf("%d panels have %d queries", len(d.Panels), len(queries))
	}
	for _, rule := range p.rules() {
		if rule.Type == "recording" {
			queries[rule.Name] = rule.Name
		}
	}
	for query, title := range queries {
		found, err := p.query(query)
		if err != nil {
			t.Errorf("%s: %s: %v", title, query, err)
		}
		if !slices.ContainsFunc(found, func(s series) bool { return number(s.Value) > 0 && !math.IsInf(number(s.Value), 0) }) {
			t.Errorf("%s: %s finds %v", title, query, found)
		}
	}
	all := strings.Join(slices.Collect(maps.Keys(queries)), "\n")
	for name := range metrics {
		name, _, _ = strings.Cut(name, "{")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum")
		if !strings.Contains(all, name) {
			t.Errorf("the dashboard has nothing of %s", name)
		}
	}
}
