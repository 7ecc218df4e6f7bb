// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// maxMessage is how many bytes of xAI's words are kept for the log.
const maxMessage = 512

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
