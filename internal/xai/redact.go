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
	text = cutKey(text, key)
	if holdsKey(text, key) {
		return "[withheld, since it holds the key in disguise]"
	}
	text = tokenPattern.ReplaceAllString(text, "[token]")
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

// holdsKey reports whether the key is in the text, also escaped as in JSON, and
// as in JSON inside of JSON.
func holdsKey(text, key string) bool {
	return strings.Contains(text, key) ||
		strings.Contains(text, `\`) && strings.Contains(unescape(text), unescape(key))
}

var escapedRune = regexp.MustCompile(`\\+u([0-9a-fA-F]{4})`)

// unescape undoes the escapes of JSON, however deep they are nested. Something
// that is no escape may become something else, which does no harm to a search.
func unescape(text string) string {
	text = escapedRune.ReplaceAllStringFunc(text, func(escape string) string {
		code, _ := strconv.ParseUint(escape[len(escape)-4:], 16, 16) // matched as hex digits
		return string(rune(code))
	})
	return strings.ReplaceAll(text, `\`, "")
}
