// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestSpeculation opens a page of another site that has the browser load tokens, and
// pages with tokens, before anybody wants them. The browser does not say whose wish
// that is.
func TestSpeculation(t *testing.T) {
	var minted atomic.Int64
	xai := new(sandbox.Server)
	edits := append([]string{
		tokens, "respond /page page\n" + tokens + "\nmethods GET\n",
		"vars api_key any-key-will-do\n", `vars api_key any-key-will-do
		xai_ephemeral_token /page {
			api_key {vars.api_key}
			endpoint http://localhost:8081/v1/realtime/client_secrets
			methods GET
			pass_thru
		}
		`,
	}, instead(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		minted.Add(1)
		xai.ServeHTTP(w, r)
	}))...)
	site, err := url.Parse(serve(t, edits...))
	if err != nil {
		t.Fatal(err)
	}

	// It is seen that the browser does as the page says, and that nobody gets anything.
	var ahead, got atomic.Int64
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(site) },
		ModifyResponse: func(resp *http.Response) error {
			if resp.StatusCode == http.StatusOK {
				got.Add(1)
			}
			if resp.Request.Header.Get("Sec-Purpose") != "" {
				ahead.Add(1)
			}
			return nil
		},
	})
	t.Cleanup(proxy.Close)
	for _, test := range []struct{ action, path string }{
		{"prefetch", "/session"}, {"prerender", "/session"}, {"prefetch", "/page"}, {"prerender", "/page"},
	} {
		t.Run(test.action+" "+test.path, func(t *testing.T) {
			evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = fmt.Fprintf(w, `<title>Free cats</title><script type="speculationrules">{%q: [{"source": "list", "eagerness": "immediate", "urls": [%q, %q]}]}</script>`,
					test.action, proxy.URL+test.path+"?1", proxy.URL+test.path+"?2")
			}))
			t.Cleanup(evil.Close)
			before := ahead.Load()
			visit(t, evil.URL, view{})
			for start := time.Now(); ahead.Load() < before+2 && time.Since(start) < patience; {
				time.Sleep(pace)
			}
			if n := ahead.Load() - before; n != 2 {
				t.Errorf("the browser looked ahead %d times, want 2", n)
			}
			if got.Load() != 0 || minted.Load() != 0 {
				t.Errorf("%d tokens were minted, and there were %d answers", minted.Load(), got.Load())
			}
		})
	}
}
