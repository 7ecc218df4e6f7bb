// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxMessage is how many bytes of xAI's words are kept for the log.
	maxMessage = 512

	// maxRetryAfter is the longest wait that is believed. It keeps an absurd one
	// from overflowing.
	maxRetryAfter = 365 * 24 * time.Hour
)

// readAnswer makes of xAI's answer a token or an error that is safe to log.
// lifetime is what the token was asked to live.
func readAnswer(resp *http.Response, key string, lifetime time.Duration) (*token, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if !isSuccess(resp.StatusCode) {
		return nil, refusal(resp, body, key)
	}
	minted, err := parseToken(body, lifetime)
	if err != nil {
		return nil, backoff.Permanent(&mintError{
			failure: errUpstreamUnusable, status: resp.StatusCode, requestID: upstreamRequestID(resp, key), message: err.Error(),
		})
	}
	return minted, nil
}

func upstreamRequestID(resp *http.Response, key string) string {
	return redact(resp.Header.Get("X-Request-Id"), key)
}

// refusal makes an error of an answer whose status says that there is no token.
func refusal(resp *http.Response, body []byte, key string) error {
	failed := &mintError{
		status: resp.StatusCode, requestID: upstreamRequestID(resp, key), message: redact(errorMessage(body), key),
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		failed.failure = errUpstreamRateLimited
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, statusOverloaded:
		failed.failure = errUpstreamFailed
	default:
		failed.failure = permanentFailure(resp.StatusCode)
		return backoff.Permanent(failed)
	}
	failed.retryAfter = parseRetryAfter(resp.Header.Get("Retry-After"))
	return failed
}

// statusOverloaded is used by AI services for a temporary lack of capacity.
const statusOverloaded = 529

// permanentFailure classifies the statuses that another attempt would not change.
func permanentFailure(status int) error {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return errUpstreamAuth
	case status >= 500:
		return errUpstreamFailed
	case status >= 300 && status < 400:
		return errUpstreamRedirect
	case status < 200:
		return errUpstreamUnusable
	default:
		return errUpstreamRefused
	}
}

// parseRetryAfter returns how long a Retry-After header asks to wait, 0 if it
// does not.
func parseRetryAfter(value string) time.Duration {
	seconds, err := strconv.ParseUint(value, 10, 64)
	// Out of range is found before what follows the digits.
	if err == nil || errors.Is(err, strconv.ErrRange) && strings.Trim(value, "0123456789") == "" {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(date), 0), maxRetryAfter)
	}
	return 0
}

// errorMessage finds the message in an error of xAI, which has one of two forms:
// {"error": "…"} or {"error": {"message": "…"}}.
func errorMessage(body []byte) string {
	if len(body) > maxAnswer {
		return "" // cut off, perhaps in the middle of a secret
	}
	var flat struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &flat) == nil && flat.Error != "" {
		return flat.Error
	}
	var nested struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &nested) == nil && nested.Error.Message != "" {
		return nested.Error.Message
	}
	var other any
	if json.Unmarshal(body, &other) == nil {
		// Encoded anew, nothing can hide behind unusual escapes.
		body, _ = json.Marshal(other)
	}
	return string(body)
}

var tokenPattern = regexp.MustCompile(`xai-realtime-client-secret-[^\s"'\\<>]*`)

// redact cuts the key and whatever looks like a token out of text that came from
// outside, then shortens it to maxMessage bytes.
func redact(text, key string) string {
	text = tokenPattern.ReplaceAllString(cutKey(text, key), "[token]")
	if len(text) > maxMessage {
		text = text[:maxMessage]
	}
	return strings.ToValidUTF8(text, "?") // not "", which could join the halves of a secret
}

// minKeyPart is how much of the key's beginning is taken for a key that broke
// off, as in the last line of an answer that was cut.
const minKeyPart = 8

// cutKey replaces the key, and its beginning where it broke off, also as Go's
// errors quote what they received and as errorMessage encodes it.
func cutKey(text, key string) string {
	escaped, _ := json.Marshal(key) // cannot fail for a string
	forms := []string{key}
	for _, quoted := range []string{strconv.Quote(key), string(escaped)} {
		forms = append(forms, quoted[1:len(quoted)-1])
	}
	var kept strings.Builder
	for i := 0; i < len(text); {
		cut := 0
		for _, form := range forms {
			if n := commonPrefix(text[i:], form); n >= min(len(form), minKeyPart) {
				cut = max(cut, n)
			}
		}
		if cut == 0 {
			kept.WriteByte(text[i])
			i++
			continue
		}
		kept.WriteString("[key]")
		i += cut
	}
	return kept.String()
}

func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
