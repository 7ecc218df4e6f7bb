// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/placement"
)

// Hosts and paths that the routes of the fuzzing know, and some that they do not.
var (
	fuzzHosts = []string{"a.example", "b.example", "x.c.example", "unknown.test"}
	fuzzPaths = []string{"/", "/session", "/api/session", "/api/api/session", "/token", "/index.html", "/sub/session", "/session/", "/other"}
)

type object = map[string]any

// treeMaker makes routes out of the bytes of the fuzzer.
type treeMaker struct {
	data   []byte
	world  *world
	probes int
	size   int

	// named are the routes that may be invoked. Caddy itself does not survive a request
	// to those that invoke each other in a circle.
	named []string
}

func (m *treeMaker) pick(n int) int {
	if len(m.data) == 0 {
		return 0
	}
	choice := int(m.data[0]) % n
	m.data = m.data[1:]
	return choice
}

func oneOf[T any](m *treeMaker, choices ...T) T { return choices[m.pick(len(choices))] }

func (m *treeMaker) routes(depth int) []object {
	routes := []object{}
	for range m.pick(5) {
		m.size++
		if m.size > 60 {
			break
		}
		route := object{}
		if group := oneOf(m, "", "", "", "g1", "g2"); group != "" {
			route["group"] = group
		}
		if m.pick(12) == 11 {
			route["terminal"] = true
		}
		if sets := m.matcherSets(0); sets != nil {
			route["match"] = sets
		}
		handlers := []object{}
		for range m.pick(4) {
			handlers = append(handlers, m.handler(depth))
		}
		if len(handlers) > 0 {
			route["handle"] = handlers
		}
		routes = append(routes, route)
	}
	return routes
}

func (m *treeMaker) matcherSets(depth int) []object {
	var sets []object
	for range oneOf(m, 0, 0, 1, 1, 1, 2) {
		set := object{}
		for range oneOf(m, 1, 1, 1, 2, 0) {
			m.addMatcher(set, depth)
		}
		sets = append(sets, set)
	}
	return sets
}

func (m *treeMaker) addMatcher(set object, depth int) {
	switch m.pick(9) {
	case 0, 1, 2:
		set["path"] = oneOf(m, []string{"/session"}, []string{"/api/*"}, []string{"/session", "/token"}, []string{"*"}, []string{"*.html"}, []string{"/s*n"}, []string{"/api/session"}, []string{"/sub/*", "/"})
	case 3:
		set["host"] = oneOf(m, []string{"a.example"}, []string{"b.example", "a.example"}, []string{"*.c.example"}, []string{"x.c.example"})
	case 4:
		set["method"] = oneOf(m, []string{"POST"}, []string{"GET"}, []string{"GET", "POST"})
	case 5:
		set["path_regexp"] = object{"pattern": oneOf(m, "^/session$", "session", "^/api/")}
	case 6:
		set["header"] = object{"X-Fuzz": []string{"yes"}}
	case 7:
		set["file"] = oneOf(m,
			object{"root": m.world.files, "try_files": []string{"{http.request.uri.path}", "/index.html"}},
			object{"root": m.world.files, "try_files": []string{"{http.request.uri.path}", "/absent", "index.php"}, "try_policy": "first_exist_fallback"},
			object{"try_files": []string{"{http.request.uri.path}/", "/index.html"}},
			object{"root": m.world.files, "try_files": []string{"{http.request.uri.path}", "=404"}})
	case 8:
		if depth < 2 {
			set["not"] = m.matcherSets(depth + 1)
		}
	}
}

func (m *treeMaker) handler(depth int) object {
	switch m.pick(16) {
	case 0, 1, 2, 3:
		if depth < 4 {
			subroute := object{"handler": "subroute", "routes": m.routes(depth + 1)}
			if m.pick(10) == 9 {
				subroute["errors"] = object{"routes": m.routes(depth + 1)}
			}
			return subroute
		}
	case 4, 5, 6:
		if m.probes < 3 {
			m.probes++
			return object{"handler": "placement_probe", "name": strconv.Itoa(oneOf(m, 0, m.probes)), "pass_thru": m.pick(4) == 3}
		}
	case 7:
		return object{"handler": "static_response", "status_code": oneOf(m, 200, 404, 302, 103), "abort": m.pick(5) == 4}
	case 8:
		return object{"handler": "error"}
	case 9, 10:
		return oneOf(m,
			object{"handler": "rewrite", "uri": "/index.html"},
			object{"handler": "rewrite", "uri": "/sub{http.request.uri}"},
			object{"handler": "rewrite", "strip_path_prefix": "/api"},
			object{"handler": "rewrite", "uri": "{http.matchers.file.relative}"},
			object{"handler": "rewrite", "uri": "{http.request.header.X-Path}?a={http.request.uri.query}"},
			object{"handler": "rewrite", "method": "GET"},
			object{"handler": "rewrite", "uri_substring": []object{{"find": "api/", "replace": ""}}},
			object{"handler": "rewrite", "path_regexp": []object{{"find": "/+$", "replace": ""}}},
			object{"handler": "rewrite", "strip_path_suffix": "/", "uri": "/session?x"})
	case 11:
		return object{"handler": "vars", "root": m.world.files}
	case 12:
		return oneOf(m,
			object{"handler": "headers", "response": object{"deferred": true, "set": object{"Cache-Control": []string{"public"}}}},
			object{"handler": "headers", "request": object{"set": object{"Host": []string{"b.example"}}}},
			object{"handler": "headers", "request": object{"set": object{"X-Fuzz": []string{"yes"}}}})
	case 13:
		return object{"handler": "file_server", "root": m.world.files, "pass_thru": m.pick(2) == 1}
	case 14:
		return object{"handler": "invoke", "name": oneOf(m, m.named...)}
	case 15:
		upstreams := []object{{"dial": strings.TrimPrefix(m.world.app.URL, "http://")}}
		return oneOf(m,
			object{"handler": "reverse_proxy", "upstreams": upstreams},
			object{"handler": "reverse_proxy", "upstreams": upstreams, "handle_response": []object{
				{"match": object{"status_code": []int{2}}, "routes": []object{{"handle": []object{{"handler": "vars"}}}}}}})
	}
	return object{"handler": "encode", "encodings": object{"gzip": object{}}}
}

// FuzzPlacement follows requests through random routes, and then sends them.
func FuzzPlacement(f *testing.F) {
	world := newWorld(f)
	for _, seed := range []string{"", "\x01", "\x04\x00\x00\x02", "\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"} {
		f.Add([]byte(seed))
	}
	f.Cleanup(func() { _ = caddy.Stop() })
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &treeMaker{data: data, world: world, named: []string{"one", "two", "absent"}}
		server := object{"listen": []string{"127.0.0.1:0"}, "automatic_https": object{"disable": true}}
		server["routes"] = m.routes(0)
		server["errors"] = object{"routes": m.routes(3)}
		m.named = []string{"two"}
		one := object{"handle": []object{m.handler(2)}}
		m.named = []string{"absent"}
		server["named_routes"] = object{"one": one, "two": object{"handle": []object{m.handler(3)}}}
		config, err := json.Marshal(object{"servers": object{"fuzz": server}})
		if err != nil {
			t.Fatal(err)
		}
		checkPredictions(t, string(config))
	})
}

// predicted is what is expected of a request, for one probe.
type predicted struct {
	probe, method, host, path string
	arrives                   bool
}

// checkPredictions runs a config and holds it to what was said of it.
func checkPredictions(t *testing.T, config string) {
	t.Helper()
	var names []string
	var expected []predicted
	server := runProbes(t, config, func(ctx caddy.Context, p *probe) {
		names = append(names, p.Name)
		handler := placement.Handler{Module: p, PassThru: p.PassThru, TrustedOrigins: []string{"https://a.example"}}
		began := time.Now()
		place, warnings := placement.Look(ctx, handler)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		if again, said := placement.Of(ctx, handler); again.String() != place.String() || !slices.Equal(said, warnings) {
			t.Errorf("it says %v %q, and then %v %q", place, warnings, again, said)
		}
		for _, host := range fuzzHosts {
			for _, path := range fuzzPaths {
				for _, method := range []string{http.MethodPost, http.MethodGet} {
					switch placement.Predict(ctx, handler, method, host, path) {
					case placement.Arrives:
						expected = append(expected, predicted{p.Name, method, host, path, true})
					case placement.Ends:
						expected = append(expected, predicted{p.Name, method, host, path, false})
					}
				}
			}
		}
	})
	if server == nil {
		return
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		return // equal probes cannot be told apart here
	}
	for _, want := range expected {
		for _, header := range []http.Header{{}, {"X-Fuzz": {"yes"}}} {
			if got := reaches(t, server, want.method, want.host, want.path, want.probe, header); got != want.arrives {
				t.Fatalf("%s %s%s with %v reaches probe %s: %t, expected %t, in\n%s", want.method, want.host, want.path, header, want.probe, got, want.arrives, config)
			}
		}
	}
}
