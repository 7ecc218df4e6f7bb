// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

const (
	defaultLifetime = 600 // seconds
	maxLifetime     = 3600

	maxBody = 64 << 10
)

// mint answers a request for a token.
func (s *Server) mint(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "Tokens are minted with POST.")
		return
	}
	key := bearer(r)
	if key == "" {
		refuseWith(w, http.StatusUnauthorized, noCredentials)
		return
	}
	if fault := misbehavior(key); fault != nil {
		fault(w, r, nil)
		return
	}
	if s.APIKey != "" && !s.isAPIKey(key) {
		refuseKey(w, key)
		return
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "The body must be application/json.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			refuseBody(w, http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("The body is larger than %d bytes.", maxBody))
			return
		}
		panic(http.ErrAbortHandler) // the client left in the middle of it
	}
	lifetime, err := parseMinting(body)
	if err != nil {
		refuseBody(w, http.StatusBadRequest, "invalid_argument", err.Error())
		return
	}

	wait(r, s.Latency)
	token, expires := s.issue(lifetime)
	writeJSON(w, http.StatusOK, struct {
		Value     string `json:"value"`
		ExpiresAt int64  `json:"expires_at"`
	}{token, expires.Unix()})
}

// parseMinting checks the body of a request for a token, and returns how many
// seconds the token shall live.
func parseMinting(body []byte) (time.Duration, error) {
	// Objects are kept raw at first: to json, null would be as good as an object.
	var minting struct {
		ExpiresAfter json.RawMessage `json:"expires_after"`
		Session      json.RawMessage `json:"session"`
	}
	if err := parseObject("the body", body, &minting); err != nil {
		return 0, err
	}
	if err := checkSession(minting.Session); err != nil {
		return 0, err
	}
	if minting.ExpiresAfter == nil {
		return defaultLifetime * time.Second, nil
	}
	// xAI does not support OpenAI's anchor, so here it is a field like any other
	// that does not exist.
	var expiresAfter struct {
		Seconds *int64 `json:"seconds"`
	}
	if err := parseObject("expires_after", minting.ExpiresAfter, &expiresAfter); err != nil {
		return 0, err
	}
	seconds := int64(defaultLifetime)
	if expiresAfter.Seconds != nil {
		seconds = *expiresAfter.Seconds
	}
	if seconds < 1 || seconds > maxLifetime {
		return 0, fmt.Errorf("expires_after.seconds must be from 1 to %d, and is %d", maxLifetime, seconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

func checkSession(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var session struct {
		Model     string          `json:"model"`
		Reasoning json.RawMessage `json:"reasoning"`
	}
	if err := parseObject("session", raw, &session); err != nil {
		return err
	}
	if session.Reasoning == nil {
		return nil
	}
	var reasoning struct {
		Effort string `json:"effort"`
	}
	if err := parseObject("session.reasoning", session.Reasoning, &reasoning); err != nil {
		return err
	}
	if reasoning.Effort != "none" && reasoning.Effort != "high" {
		return errors.New(`session.reasoning.effort must be "none" or "high"`)
	}
	return nil
}

// parseObject decodes a JSON object whose fields are all known. Its errors call
// it by name.
func parseObject(name string, raw []byte, into any) error {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return fmt.Errorf("%s must be a JSON object", name)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s: %s has the wrong type, %s", name, mismatch.Field, mismatch.Value)
		}
		return fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("%s is followed by more data", name)
	}
	return nil
}
