// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestBodyThatOthersTouch is for the race detector: it has whatever else of a site
// could touch the request's body, or the headers of the answer that reading it can
// set, while the body is discarded.
func TestBodyThatOthersTouch(t *testing.T) {
	sites := map[string]string{
		"a bounded body": "",
		"a limit by a header of the answer": `
			header X-Tenant a
			rate_limit 1000 1m {http.response.header.X-Tenant}`,
		"a limit by a part of the body": `
			map {http.request.body} {tenant} {
				default a
			}
			rate_limit 1000 1m {tenant}`,
		"an API key by a part of the body": `
			map {http.request.body} {key} {
				default ` + caddytest.Key + `
			}
			api_key {key}`,
		"a limit by a variable": `
			vars tenant {http.request.body}
			rate_limit 1000 1m {http.vars.tenant}`,
		"a log of the body": `
			log
			log_append body {http.request.body}
			log_append length {http.response.header.Content-Length}`,
	}
	for timeouts, options := range map[string]string{
		"with timeouts":    "",
		"without timeouts": "timeouts {\nread_body_idle -1s\nwrite_idle -1s\n}\n",
	} {
		for name, directives := range sites {
			t.Run(name+", "+timeouts, func(t *testing.T) {
				up := caddytest.NewUpstream(t)
				up.Latency = time.Millisecond
				// Without metrics and traces, which wrap the response: then it is the
				// bare one that is told of a body over its bound.
				global := strings.NewReplacer("\tmetrics\n", "", "\t\ttrace\n", options).Replace(caddytest.GlobalOptions)
				s := caddytest.StartBy(t, up, func(s *caddytest.Server) error {
					return s.LoadWhole(s.Expand(global + bodyRaceSite(directives)))
				})
				var group sync.WaitGroup
				for range 4 {
					group.Go(func() {
						for range 10 {
							askWithBody(t, s)
						}
					})
				}
				group.Wait()
				if len(up.Requests()) == 0 {
					t.Error("nobody got as far as xAI")
				}
			})
		}
	}
}

// bodyRaceSite sets up a site with a bounded body. Those of the lines that are
// options of the directive, and not directives themselves, go there.
func bodyRaceSite(lines string) string {
	var site, options strings.Builder
	for line := range strings.Lines(lines) {
		switch strings.Fields(line + " x")[0] {
		case "rate_limit", "api_key":
			options.WriteString(line + "\n")
		default:
			site.WriteString(line)
		}
	}
	if !strings.Contains(options.String(), "api_key") {
		options.WriteString("api_key " + caddytest.Key + "\n")
	}
	return "http://SITE {\nrequest_body {\nmax_size 1\n}\n" + site.String() +
		"\nxai_ephemeral_token /session {\nendpoint UPSTREAM\n" + options.String() + "}\n}\n"
}

// askWithBody sends a chunked body that is longer than it may be.
func askWithBody(t *testing.T, s *caddytest.Server) {
	t.Helper()
	body, write := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/session", body)
	if err != nil {
		t.Error(err)
		return
	}
	go func() {
		_, _ = io.WriteString(write, "{}")
		_ = write.Close()
	}()
	resp, err := s.Client.Do(req)
	if err != nil {
		return // the connection ends as soon as the body is too long
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}
