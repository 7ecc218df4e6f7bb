// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// Tokens collects what was handed out, from any goroutine.
type Tokens struct {
	mu   sync.Mutex
	seen map[string]bool
}

// Add says what is wrong with an answer that should be a token nobody had yet.
func (s *Tokens) Add(got Answer) error {
	token, err := parseToken(got)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	if s.seen[token.Value] {
		return errors.New("a token was handed out twice")
	}
	s.seen[token.Value] = true
	return nil
}

// Count returns how many tokens were collected.
func (s *Tokens) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// Token is an ephemeral token as xAI tells of it.
type Token struct {
	// Value is the token itself.
	Value string `json:"value"`
	// ExpiresAt is its end, in seconds since 1970.
	ExpiresAt int64 `json:"expires_at"`
}

// DecodeToken returns the token of an answer, and fails the test if it is none.
func DecodeToken(t *testing.T, got Answer) Token {
	t.Helper()
	token, err := parseToken(got)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func parseToken(got Answer) (Token, error) {
	var token Token
	if err := json.Unmarshal([]byte(got.Body), &token); got.StatusCode != http.StatusOK || err != nil || token.Value == "" {
		return Token{}, fmt.Errorf("got %d %q, want a token", got.StatusCode, got.Body)
	}
	return token, nil
}

// TokenID returns what logs and placeholders have in place of a token.
func TokenID(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:16]
}

// Remember has an upstream collect the tokens that it mints.
func (s *Tokens) Remember(t *testing.T) sandbox.Fault {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		recorder := httptest.NewRecorder()
		mint(recorder, r)
		if err := s.Add(Answer{recorder.Result(), recorder.Body.String()}); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	}
}

// Has says whether the token of an answer was collected.
func (s *Tokens) Has(got Answer) bool {
	token, err := parseToken(got)
	s.mu.Lock()
	defer s.mu.Unlock()
	return err == nil && s.seen[token.Value]
}
