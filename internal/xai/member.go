// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"bytes"
	"encoding/json"
)

// jsonSpace is what JSON has between its tokens.
const jsonSpace = " \t\r\n"

// member returns the value of a member of a JSON object as it is written, nil if
// there is none. Of several with the name, the last one counts. The text must be
// valid. Decoding it into a map would take fifteen allocations more, and decoding
// it into a struct ignores the case of names.
func member(object []byte, name string) (value []byte) {
	rest := bytes.TrimLeft(object, jsonSpace)
	if rest[0] != '{' {
		return nil
	}
	rest = bytes.TrimLeft(rest[1:], jsonSpace)
	for rest[0] != '}' {
		end := valueEnd(rest)
		named := string(stringIn(rest[:end])) == name
		rest = bytes.TrimLeft(rest[end:], jsonSpace+":")
		end = valueEnd(rest)
		if named {
			value = rest[:end]
		}
		rest = bytes.TrimLeft(rest[end:], jsonSpace+",")
	}
	return value
}

// valueEnd returns where the value ends that a text begins with. What is neither a
// string nor nested must be in an object, which ends it.
func valueEnd(text []byte) int {
	switch text[0] {
	case '"':
		return stringEnd(text)
	case '{', '[':
		return nestedEnd(text)
	default:
		return bytes.IndexAny(text, jsonSpace+",}")
	}
}

func stringEnd(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

func nestedEnd(text []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch text[i] {
		case '"':
			i += stringEnd(text[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
	}
}

// stringIn returns what a JSON string says, nil for another value.
func stringIn(text []byte) []byte {
	if !bytes.HasPrefix(text, []byte{'"'}) {
		return nil
	}
	if !bytes.ContainsRune(text, '\\') {
		return text[1 : len(text)-1]
	}
	var decoded string
	_ = json.Unmarshal(text, &decoded) // cannot fail: it is valid
	return []byte(decoded)
}
