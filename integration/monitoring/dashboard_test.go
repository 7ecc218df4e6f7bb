// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// dashboard is as much of dashboard.json as has to do with queries.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []panel
}

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	d := new(dashboard)
	if err := json.Unmarshal([]byte(caddytest.ReadExample(t, "monitoring", "dashboard.json")), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// fill puts values in place of the variables of a query, as Grafana does.
func (d *dashboard) fill(t *testing.T, expression, rateInterval string) string {
	t.Helper()
	pairs := []string{"$__rate_interval", rateInterval, "$__range", "1h"}
	for _, variable := range d.Templating.List {
		switch variable.Type {
		case "query":
			pairs = append(pairs, "$"+variable.Name, ".*") // all of them
		case "textbox":
			pairs = append(pairs, "$"+variable.Name, variable.Query)
		}
	}
	filled := strings.NewReplacer(pairs...).Replace(expression)
	if strings.Contains(filled, "$") {
		t.Errorf("a variable of %q is not defined", expression)
	}
	return filled
}

var labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// checkVariables looks for something to choose for each variable that Grafana asks
// Prometheus about.
func (d *dashboard) checkVariables(t *testing.T, p *prometheus) {
	t.Helper()
	for _, variable := range d.Templating.List {
		if variable.Type != "query" {
			continue
		}
		match := labelValues.FindStringSubmatch(variable.Query)
		if match == nil {
			t.Errorf("what is %q?", variable.Query)
			continue
		}
		var values []string
		if err := p.ask("label/"+match[2]+"/values?match[]="+match[1], &values); err != nil || len(values) == 0 {
			t.Errorf("%s has %v, %v", variable.Query, values, err)
		}
	}
}
