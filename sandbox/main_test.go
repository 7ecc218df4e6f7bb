// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const mintingBody = `{"expires_after":{"seconds":300}}`

// start serves s on a port of the system's choice.
func start(t *testing.T, s http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server
}

// mintingRequest returns a request that is fine.
func mintingRequest(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+mintingPath, strings.NewReader(mintingBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer some-key")
	r.Header.Set("Content-Type", "application/json")
	return r
}

type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, server *httptest.Server, r *http.Request) answer {
	t.Helper()
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// mintedBy returns the token of an answer that must hold one.
func mintedBy(t *testing.T, a answer) (token string, expiresAt time.Time) {
	t.Helper()
	var minted struct {
		Value     string `json:"value"`
		ExpiresAt int64  `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(a.body), &minted); err != nil || a.status != http.StatusOK {
		t.Fatalf("minting was answered with %d %s (%v)", a.status, a.body, err)
	}
	return minted.Value, time.Unix(minted.ExpiresAt, 0)
}

// mintToken asks s for a token without a network, which also works in a bubble.
func mintToken(t *testing.T, s http.Handler) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, mintingRequest(t.Context(), t, ""))
	token, _ := mintedBy(t, answer{recorder.Code, recorder.Header(), recorder.Body.String()})
	return token
}

// errorOf returns the message of an error in one of xAI's two shapes, and says
// which one it was.
func errorOf(t *testing.T, a answer) (shape, message string) {
	t.Helper()
	if contentType := a.header.Get("Content-Type"); contentType != "application/json" {
		t.Errorf("an error of type %q, want JSON", contentType)
	}
	var flat struct{ Code, Error string }
	if err := json.Unmarshal([]byte(a.body), &flat); err == nil && flat.Code != "" && flat.Error != "" {
		return "flat", flat.Error
	}
	var nested struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal([]byte(a.body), &nested); err == nil && nested.Error.Message != "" && nested.Error.Type != "" && nested.Error.Code != "" {
		return "nested", nested.Error.Message
	}
	t.Fatalf("not an error of xAI's: %s", a.body)
	return "", ""
}

// watched tells when a request has been handled, and how.
type watched struct {
	http.Handler
	done chan error // what it panicked with, or nil
}

func watch(handler http.Handler) watched {
	return watched{handler, make(chan error, 100)}
}

func (h watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		ended, _ := recover().(error)
		h.done <- ended
		if ended != nil {
			panic(ended)
		}
	}()
	h.Handler.ServeHTTP(w, r)
}

// pipes is a network without a network: its connections live in a bubble of
// testing/synctest, where time passes at once.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

// startInBubble serves s, and returns a client that reaches it by any address.
func startInBubble(t *testing.T, s http.Handler) *http.Client {
	t.Helper()
	listener := &pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = server.Close() })
	return &http.Client{Transport: &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
