// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
	"github.com/coder/websocket"
)

// session is what becomes of one WebSocket.
type session func(ctx context.Context, conn *websocket.Conn)

// upstream is the sandbox, some of whose sessions go wrong.
type upstream struct {
	sandbox.Server

	t        *testing.T
	mu       sync.Mutex
	sessions []session // what becomes of the next ones; nil is a good one
	tokens   []string  // of all attempts, as they stand in the subprotocol
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		u.Server.ServeHTTP(w, r)
		return
	}
	subprotocol := r.Header.Get("Sec-WebSocket-Protocol")
	next := u.next(subprotocol)
	if next == nil {
		u.Server.ServeHTTP(w, r)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // the page comes from another port
	})
	if err != nil {
		u.t.Error(err)
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed already
	next(r.Context(), conn)
}

func (u *upstream) next(subprotocol string) session {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tokens = append(u.tokens, subprotocol)
	if len(u.sessions) == 0 {
		return nil
	}
	next := u.sessions[0]
	u.sessions = u.sessions[1:]
	return next
}

// mustHaveTried fails unless there were this many attempts, each with a token of
// its own.
func (u *upstream) mustHaveTried(times int) {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.tokens) != times || len(slices.Compact(slices.Sorted(slices.Values(u.tokens)))) != times {
		u.t.Errorf("%d attempts with the tokens %q, want %d", len(u.tokens), u.tokens, times)
	}
}

// closes ends before there is a session.
func closes(_ context.Context, conn *websocket.Conn) {
	_ = conn.Close(websocket.StatusTryAgainLater, "not now") // it ends either way
}

// refuses says why there is no session.
func refuses(ctx context.Context, conn *websocket.Conn) {
	event := `{"type": "error", "error": {"code": "team_limit", "message": "No more sessions."}}`
	if err := conn.Write(ctx, websocket.MessageText, []byte(event)); err == nil {
		closes(ctx, conn)
	}
}

// hangs opens and never starts a session.
func hangs(ctx context.Context, conn *websocket.Conn) {
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
	}
}

// sends starts a session, and then sends these events and goes on, or breaks off
// when they are over.
func sends(goOn bool, events ...string) session {
	return func(ctx context.Context, conn *websocket.Conn) {
		for _, event := range append([]string{`{"type": "session.created"}`}, events...) {
			if err := conn.Write(ctx, websocket.MessageText, []byte(event)); err != nil {
				return
			}
		}
		if goOn {
			hangs(ctx, conn)
		}
	}
}
