// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestOverHTTPS(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
https://SITE {
	tls internal
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		rate_limit off
	}
	handle_errors {
		respond "{err.message}" {err.status_code}
	}
}
`)
	url := strings.Replace(s.URL, "http:", "https:", 1)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.Client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	root := s.ReadFile("storage/pki/authorities/local/root.crt")
	if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(root)) {
		t.Fatalf("Caddy's root certificate is %q", root)
	}
	// The site's certificate is made while Caddy serves already.
	caddytest.Eventually(t, "the site has its certificate", func() bool {
		_, err := s.Try(t.Context(), http.MethodGet, url+"/")
		return err == nil
	})

	t.Run("a page of the site gets a token over HTTP/2", func(t *testing.T) {
		got := s.Do(http.MethodPost, url+"/session", "Origin", url, "Sec-Fetch-Site", "same-origin")
		caddytest.DecodeToken(t, got)
		if got.Proto != "HTTP/2.0" {
			t.Errorf("it came over %s", got.Proto)
		}
		if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got the headers %v", got.Header)
		}
	})
	t.Run("a body is not looked at", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/session", strings.NewReader(strings.Repeat("x", 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		caddytest.DecodeToken(t, s.Send(req))
	})
	t.Run("a body that never comes holds nothing up", func(t *testing.T) {
		body, neverWritten := io.Pipe()
		defer func() { _ = neverWritten.Close() }()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/session", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 100
		start := time.Now()
		caddytest.DecodeToken(t, s.Send(req))
		if elapsed := time.Since(start); elapsed > 5*time.Second {
			t.Errorf("it took %s", elapsed)
		}
	})
	t.Run("a client that leaves cancels the call to xAI", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		cancelled := make(chan struct{})
		up.Script(func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			leave()
			<-r.Context().Done()
			close(cancelled)
		})
		if got, err := s.Try(ctx, http.MethodPost, url+"/session"); err == nil {
			t.Errorf("got %d", got.StatusCode)
		}
		caddytest.Receive(t, cancelled)
		caddytest.Eventually(t, "it is logged as 499", func() bool {
			entries := s.Logged()
			return entries[len(entries)-1]["status"] == 499.0
		})
	})
	t.Run("another site's page does not", func(t *testing.T) {
		got := s.Do(http.MethodPost, url+"/session", "Origin", "https://evil.example.com")
		if got.StatusCode != http.StatusForbidden || got.Body != "cross-origin request refused" {
			t.Errorf("got %d %q, want 403", got.StatusCode, got.Body)
		}
	})
	t.Run("an error of xAI is passed on", func(t *testing.T) {
		up.Script(sandbox.Status(http.StatusUnauthorized))
		if got := s.Do(http.MethodPost, url+"/session"); got.StatusCode != http.StatusBadGateway || got.Proto != "HTTP/2.0" {
			t.Errorf("got %d over %s, want 502", got.StatusCode, got.Proto)
		}
	})
}
