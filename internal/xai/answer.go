// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait that is believed: nobody wants to be told to
// come back next year.
const maxRetryAfter = time.Hour

// readAnswer makes of xAI's answer a token or an error that is safe to log.
// lifetime is what the token was asked to live.
func readAnswer(resp *http.Response, key string, lifetime time.Duration) (*Token, error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if !isSuccess(resp.StatusCode) {
		return nil, readFailure(resp, body, key)
	}
	minted, err := parseToken(body, lifetime)
	if err == nil && len(key) >= minKeyPart && holdsKey(string(body), key) {
		err = errors.New("it holds the API key")
	}
	if err != nil {
		return nil, &Error{
			Failure: ErrUnusable, Status: resp.StatusCode, RequestID: upstreamRequestID(resp, key), Message: err.Error(),
			final: true,
		}
	}
	if now, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		minted.shorten(now)
	}
	return minted, nil
}

func upstreamRequestID(resp *http.Response, key string) string {
	return redact(resp.Header.Get("X-Request-Id"), key)
}

// readFailure makes an error of an answer whose status says that there is no token.
func readFailure(resp *http.Response, body []byte, key string) error {
	message := errorMessage(body)
	if location := resp.Header.Get("Location"); location != "" && resp.StatusCode/100 == 3 {
		message = "Location: " + location
	}
	failed := &Error{
		Status: resp.StatusCode, RequestID: upstreamRequestID(resp, key), Message: redact(message, key),
		IsJSON: json.Valid(body),
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		failed.Failure = ErrRateLimited
	case isTransient(resp.StatusCode):
		failed.Failure = ErrFailed
	default:
		failed.Failure = finalFailure(resp.StatusCode, message)
		failed.final = true
		return failed
	}
	failed.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"))
	return failed
}

// isTransient reports whether another attempt may end better than with this
// status. 520 to 524 are Cloudflare's, in front of xAI, and 529 is used by AI
// services for a temporary lack of capacity.
func isTransient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout, 520, 521, 522, 523, 524, 529:
		return true
	}
	return false
}

// aboutAPIKey recognizes xAI's words for a wrong key, for which it uses the status
// 400.
var aboutAPIKey = regexp.MustCompile(`(?i)\bapi[ _-]?key\b`)

// finalFailure classifies what another attempt would not change.
func finalFailure(status int, message string) error {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden,
		status == http.StatusBadRequest && aboutAPIKey.MatchString(message):
		return ErrAuth
	case status >= 500:
		return ErrFailed
	case status >= 300 && status < 400:
		return ErrRedirect
	case status < 200:
		return ErrUnusable
	default:
		return ErrRefused
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
