// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Token is an ephemeral token as xAI minted it.
type Token struct {
	Body      []byte // xAI's JSON
	Value     string // the secret itself
	ID        string // names the token in logs without giving it away
	ExpiresAt int64  // Unix seconds

	askedFor time.Time // when the call for it began, by this machine's clock
	lifetime time.Duration
}

// Lifetime is how long the token lives from when it was asked for: as long as it
// was meant to, or less if xAI said so.
func (t *Token) Lifetime() time.Duration { return t.lifetime }

// FreshUntil is when half of the lifetime is over: until then whoever gets the
// token has time enough to connect.
func (t *Token) FreshUntil() time.Time { return t.askedFor.Add(t.lifetime / 2) }

// shorten believes xAI if the token, now by xAI's clock, ends earlier than it was
// asked to. A time that is over already tells of a clock, and not of the token.
func (t *Token) shorten(now time.Time) {
	if left := time.Unix(t.ExpiresAt, 0).Sub(now); left > 0 {
		t.lifetime = min(t.lifetime, left)
	}
}

// parseToken reads a token from xAI's JSON. Its errors say nothing of the body,
// which may hold a token even if it is not usable.
func parseToken(body []byte, lifetime time.Duration) (*Token, error) {
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
	// Whoever puts the token between quotes, into a header, a page or a list gets
	// what xAI sent, and nothing that means something there.
	if strings.ContainsFunc(value, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"'`<>&,\\", r)
	}) {
		return nil, errors.New("its value has characters that would need escaping")
	}
	sum := sha256.Sum256([]byte(value))
	return &Token{
		Body:      body,
		Value:     value,
		ID:        hex.EncodeToString(sum[:8]),
		ExpiresAt: parseExpiresAt(string(fields["expires_at"]), lifetime),
		lifetime:  lifetime,
	}, nil
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
