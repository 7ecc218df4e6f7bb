// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// NewClient returns a client that follows no redirects, and hangs up when the test
// ends.
func NewClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is a response that was read to its end.
type Answer struct {
	*http.Response
	// Body is the whole body, in place of the reader.
	Body string
}

// ReadAnswer reads a response to its end.
func ReadAnswer(resp *http.Response) (Answer, error) {
	body, err := io.ReadAll(resp.Body)
	return Answer{resp, string(body)}, err
}

// Do sends a request without a body. Headers are given as name, value pairs.
func (s *Server) Do(method, url string, header ...string) Answer {
	s.t.Helper()
	req, err := newRequest(s.t.Context(), method, url, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.Send(req)
}

// Try is Do for goroutines other than the test's: it returns what went wrong.
func (s *Server) Try(ctx context.Context, method, url string, header ...string) (Answer, error) {
	req, err := newRequest(ctx, method, url, header...)
	if err != nil {
		return Answer{}, err
	}
	return s.roundTrip(req)
}

func newRequest(ctx context.Context, method, url string, header ...string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req, nil
}

// Send sends a request, and fails the test if there is no answer.
func (s *Server) Send(req *http.Request) Answer {
	s.t.Helper()
	got, err := s.roundTrip(req)
	for start := time.Now(); err != nil && s.Reloaded && time.Since(start) < 2*time.Second; {
		got, err = s.roundTrip(req)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *Server) roundTrip(req *http.Request) (Answer, error) {
	resp, err := s.Client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	return ReadAnswer(resp)
}

// Post asks the first site for a token at /session.
func (s *Server) Post(header ...string) Answer {
	s.t.Helper()
	return s.Do(http.MethodPost, s.URL+"/session", header...)
}

// Forwarded is the header by which a trusted proxy names a client, as a name and a
// value.
func Forwarded(address string) []string { return []string{"X-Forwarded-For", address} }

// KeepAsking has clients ask again and again, all at once, until stop is called,
// which waits for the last of them.
func KeepAsking(clients int, ask func()) (stop func()) {
	stopped := make(chan struct{})
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
					ask()
				}
			}
		})
	}
	return func() {
		close(stopped)
		group.Wait()
	}
}
