// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package sandbox imitates the part of xAI's API that the plugin and the pages
// in front of it use, so that anybody can build, demonstrate and test without a
// key, a network or a bill.
//
// It checks what xAI checks when it mints a token, and answers the realtime
// WebSocket with a conversation in sound and text, in the events that a session of
// xAI was recorded to send. It understands no speech and holds no model, but can be
// told to use a tool: a text that has the words "use the tool" is answered with a
// call of the first function in the session's tools, with the JSON object that
// follows these words as arguments, or without one with arguments made up from the
// tool's parameters.
//
// Some keys make it misbehave, whatever key it expects: xai-sandbox-429, or any
// status from 400 to 599, is answered with xAI's error of that status,
// xai-sandbox-429-after-7 with Retry-After: 7 as well, xai-sandbox-hang never,
// xai-sandbox-reset by breaking off, and xai-sandbox-garbage with HTML. All other
// keys that begin like that are wrong.
//
// In a test it is the upstream, which can be told to misbehave:
//
//	xai := new(sandbox.Server)
//	xai.Script(sandbox.Status(http.StatusTooManyRequests, "Retry-After", "2"))
//	server := httptest.NewServer(xai)
//	defer server.Close()
//
// In Caddy it is the directive xai_sandbox.
package sandbox

import (
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	mintingPath  = "/v1/realtime/client_secrets"
	realtimePath = "/v1/realtime"
)

// Server is an http.Handler that imitates POST /v1/realtime/client_secrets and
// the WebSocket GET /v1/realtime. The zero value is ready to use. It must be
// used by its pointer, and its fields must not change while it serves.
type Server struct {
	// APIKey is the only key that is accepted. If it is empty, any key that is
	// not empty can mint, and only tokens can open a session.
	APIKey string

	// Latency is how long each minting takes.
	Latency time.Duration

	unloaded <-chan struct{} // ends the open sessions when it is closed

	conversations conversations

	mu     sync.Mutex
	tokens map[string]time.Time // each unused token, and when it expires
	swept  time.Time            // when expired tokens were last forgotten
	script []Fault
}

// ServeHTTP answers like https://api.x.ai. As net/http demands of a handler that
// cannot answer, it panics with http.ErrAbortHandler if the client leaves first.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Request-Id", uuid.NewString())
	switch r.URL.Path {
	case mintingPath:
		if fault := s.nextFault(); fault != nil {
			fault(w, r, s.mint)
			return
		}
		s.mint(w, r)
	case realtimePath:
		s.realtime(w, r)
	default:
		refuse(w, http.StatusNotFound, "The sandbox has no such path. It knows "+mintingPath+" and "+realtimePath+".")
	}
}
