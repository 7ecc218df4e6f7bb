// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// OpenSession opens a realtime session with a token, as a page does, and returns
// why there is none.
func OpenSession(t *testing.T, url, token string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := NewClient(t)
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{ //nolint:bodyclose // Dial does it
		HTTPClient: client, Subprotocols: []string{"xai-client-secret." + token},
	})
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // the session is over
	_, first, err := conn.Read(ctx)
	if err == nil && !strings.Contains(string(first), `"session.created"`) {
		t.Errorf("the first event is %s", first)
	}
	return err
}

// MustOpenOneSession fails the test unless the token is good for one session and
// for no other.
func (u *Upstream) MustOpenOneSession(t *testing.T, token string) {
	t.Helper()
	url := u.URL + "/v1/realtime?model=grok-voice-latest"
	if err := OpenSession(t, url, token); err != nil {
		t.Errorf("the token opens no session: %v", err)
	}
	if err := OpenSession(t, url, token); err == nil {
		t.Error("the token opens a second session")
	}
}
