// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package sandbox imitates the part of xAI's API that the plugin and the pages
// in front of it use, so that anybody can build, demonstrate and test without a
// key, a network or a bill.
//
// It checks what xAI checks when it mints a token, and answers the realtime
// WebSocket with a conversation in sound and text. It understands no speech and
// holds no model.
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
	"encoding/json"
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

// refuse answers with the flat one of xAI's two shapes of an error, the one for
// whatever is decided before a request is understood: the key, the path, the
// method, a limit, a failure of xAI's own. Clients have to cope with both
// shapes, so the sandbox uses both.
func refuse(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"code":  http.StatusText(status),
		"error": message,
	})
}

// refuseBody answers with the nested one of xAI's two shapes of an error, the one
// for a body that was understood well enough to say what is wrong with it.
func refuseBody(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{
		"error": map[string]string{
			"message": message,
			"type":    "invalid_request_error",
			"code":    code,
		},
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // only strings and numbers come here
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only for a client that is gone
}
