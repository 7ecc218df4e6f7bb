// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Fault is one scripted answer to a minting request. It is called before anything
// of the request is checked; mint is what would have happened without it.
type Fault func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc)

// Script makes the next minting requests misbehave, each with one of the faults,
// in this order; a nil Fault is a request that works. After them minting works
// again. Script may be called while the server is serving, and adds to what is
// still left of earlier calls.
func (s *Server) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, faults...)
}

func (s *Server) nextFault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.script) == 0 {
		return nil
	}
	fault := s.script[0]
	s.script = s.script[1:]
	return fault
}

// Status answers with the error that xAI would send with this status. The header
// consists of pairs of a name and a value: Status(429, "Retry-After", "2").
func Status(code int, header ...string) Fault {
	mustBePairs(header)
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		setHeader(w, header)
		errorAnswer(w, code)
	}
}

// Answer answers with this body, for answers that nobody can use. It is labeled
// as JSON, unless the header, pairs of a name and a value, says otherwise.
func Answer(code int, body string, header ...string) Fault {
	mustBePairs(header)
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "application/json")
		setHeader(w, header)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body) // fails only for a client that is gone
	}
}

// Delay waits for d and then mints. It gives up when the client leaves.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		readAhead(r)
		wait(r, d)
		mint(w, r)
	}
}

// Hang never answers. It ends when the client leaves.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		// All of the body, for the reason that readAhead names. If it breaks off,
		// the client is gone, and the context would never tell.
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}

// Break breaks the connection before there is an answer.
func Break() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		readAhead(r)
		panic(http.ErrAbortHandler)
	}
}

// BreakMidBody sends the headers of a good answer and half of its body, and then
// breaks the connection.
func BreakMidBody() Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		readAhead(r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "80")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, `{"value":"`+valuePrefix+`AAA`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// wait lets d pass. If the client leaves before that, nobody is left to answer.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// readAhead reads the body, as far as mint would, and leaves it to be read again.
// Go notices that a client is gone only once the body was read, and a connection
// that is closed before that is reset, which can swallow what was sent last.
func readAhead(r *http.Request) {
	head, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the client left in the middle of it
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
}

func mustBePairs(header []string) {
	if len(header)%2 != 0 {
		panic("sandbox: a header name without a value")
	}
}

func setHeader(w http.ResponseWriter, header []string) {
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
}
