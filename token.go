// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// token is an ephemeral token as xAI minted it.
type token struct {
	body      []byte // xAI's JSON
	value     string // the secret itself
	id        string // names the token in logs without giving it away
	expiresAt int64  // Unix seconds

	key        string    // the API key that it was minted with
	freshUntil time.Time // until when it may wait for a request, by this machine's clock
	prefetched bool      // whether it did wait
}

// parseToken reads a token from xAI's JSON. Its errors say nothing of the body,
// which may hold a token even if it is not usable.
func parseToken(body []byte, lifetime time.Duration) (*token, error) {
	if len(body) > maxAnswer {
		return nil, errors.New("it is over 64 KiB")
	}
	// A map, since decoding into a struct ignores the case of names.
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return nil, errors.New("it is not a JSON object")
	}
	var value string
	if json.Unmarshal(fields["value"], &value) != nil || value == "" {
		return nil, errors.New("its value is not a non-empty string")
	}
	if strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	}) {
		return nil, errors.New("its value has white space or control characters")
	}
	sum := sha256.Sum256([]byte(value))
	return &token{
		body:      body,
		value:     value,
		id:        hex.EncodeToString(sum[:8]),
		expiresAt: parseExpiresAt(string(fields["expires_at"]), lifetime),
	}, nil
}

// isFresh reports whether the token may still be handed out. Both of Go's clocks
// must say so: the monotonic one stands still while a machine is suspended, and
// the wall clock can be set back.
func (t *token) isFresh(now time.Time) bool {
	return now.Before(t.freshUntil) && now.Round(0).Before(t.freshUntil.Round(0))
}

// parseExpiresAt returns xAI's expires_at in seconds. Some deployments answer in
// milliseconds. Where xAI does not say, the lifetime that we asked for counts.
func parseExpiresAt(number string, lifetime time.Duration) int64 {
	expiresAt, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !(expiresAt > 0 && expiresAt < 1e15):
		return time.Now().Add(lifetime).Unix()
	case expiresAt > 1e12:
		return int64(expiresAt / 1000)
	default:
		return int64(expiresAt)
	}
}
