// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package xaitest reads xAI's answers in the plainest way that their definitions
// allow, for tests to compare the real reading with.
package xaitest

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// usable is what needs no escaping, wherever a token is put.
var usable = regexp.MustCompile(`^[!#$%()*+\-./0-9:;=?@A-Z\[\]^_a-z{|}~]+$`)

// ReadToken returns the token in an answer, or why there is no usable one. An
// expiry that xAI does not tell, or not in a way that makes sense, is -1.
func ReadToken(body []byte) (value string, expiresAt int64, err error) {
	if len(body) > 64<<10 {
		return "", 0, errors.New("it is over 64 KiB")
	}
	var fields map[string]json.RawMessage // of the same name, the last one counts
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", 0, errors.New("it is not a JSON object")
	}
	var decoded any
	_ = json.Unmarshal(fields["value"], &decoded) // stays nil where there is none
	value, _ = decoded.(string)
	if value == "" {
		return "", 0, errors.New("its value is not a non-empty string")
	}
	if !usable.MatchString(value) {
		return "", 0, errors.New("its value has characters that would need escaping")
	}
	var number float64
	switch told := json.Unmarshal(fields["expires_at"], &number) == nil; {
	case !told || number <= 0 || number >= 1e15:
		return value, -1, nil
	case number > 1e12:
		return value, int64(number / 1000), nil // it is in milliseconds
	default:
		return value, int64(number), nil
	}
}

// HoldsKey reports whether any text of a JSON value holds the key, also text that
// is JSON again.
func HoldsKey(value any, key string) bool {
	switch value := value.(type) {
	case string:
		if strings.Contains(strings.ReplaceAll(value, `\`, ""), strings.ReplaceAll(key, `\`, "")) {
			return true
		}
		var again any
		if json.Unmarshal([]byte(value), &again) == nil || json.Unmarshal([]byte(`"`+value+`"`), &again) == nil {
			return again != any(value) && HoldsKey(again, key)
		}
	case []any:
		for _, element := range value {
			if HoldsKey(element, key) {
				return true
			}
		}
	case map[string]any:
		for name, element := range value {
			if HoldsKey(name, key) || HoldsKey(element, key) {
				return true
			}
		}
	}
	return false
}
