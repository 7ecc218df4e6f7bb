// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// tokenServer is a token endpoint as one would write it in Go.
type tokenServer struct {
	endpoint string
	key      string

	// send is that of an http.Client or an http.RoundTripper.
	send func(*http.Request) (*http.Response, error)
}

func newTokenServer(send func(*http.Request) (*http.Response, error)) *tokenServer {
	return &tokenServer{endpoint: "http://" + os.Getenv("UPSTREAM") + mintingPath, key: os.Getenv("XAI_API_KEY"), send: send}
}

// serveNetHTTP serves it without Caddy.
func serveNetHTTP(transport http.RoundTripper) error {
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	mux := http.NewServeMux()
	mux.Handle("/session", newTokenServer(client.Do))
	server := &http.Server{Addr: os.Getenv("ADDRESS"), Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := s.mint(r.Context())
	if err != nil {
		http.Error(w, "no token", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // fails only for a client that is gone
}

func (s *tokenServer) mint(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(`{"expires_after":{"seconds":300}}`))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.send(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the upstream answered %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}
