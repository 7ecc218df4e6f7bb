// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// netHTTP is a token endpoint as one would write it in Go without Caddy.
type netHTTP struct {
	client   *http.Client
	endpoint string
	key      string
}

// serveNetHTTP serves it with a client that is as Go makes it, which keeps two idle
// connections to a host and closes all others.
func serveNetHTTP() error {
	return serveNetHTTPWith(nil)
}

// serveNetHTTPPooled serves it with a client that keeps as many idle connections
// as the transport of Caddy does by default.
func serveNetHTTPPooled() error {
	return serveNetHTTPWith(&http.Transport{MaxIdleConnsPerHost: 32})
}

func serveNetHTTPWith(transport http.RoundTripper) error {
	h := &netHTTP{
		client:   &http.Client{Transport: transport, Timeout: 10 * time.Second},
		endpoint: "http://" + os.Getenv("UPSTREAM") + mintingPath,
		key:      os.Getenv("XAI_API_KEY"),
	}
	mux := http.NewServeMux()
	mux.Handle("/session", h)
	server := &http.Server{Addr: os.Getenv("ADDRESS"), Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

func (h *netHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := h.mint(r)
	if err != nil {
		http.Error(w, "no token", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) //nolint:gosec // JSON; fails only for a client that is gone
}

func (h *netHTTP) mint(r *http.Request) ([]byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, h.endpoint, strings.NewReader(`{"expires_after":{"seconds":300}}`))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the upstream answered %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}
