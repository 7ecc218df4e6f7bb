// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzParseToken compares parseToken with a plain reading of the same contract,
// which takes the answer apart with encoding/json alone. However fast parseToken
// becomes, the two must agree on every answer, also on why one is unusable.
func FuzzParseToken(f *testing.F) {
	for _, seed := range []string{
		`{"value":"xai-realtime-client-secret-a","expires_at":1790000000}`,
		` {"expires_at":1790000000999,"session":{"value":"no","expires_at":1},"value":"a"} `,
		`{"value":"first","value":"last","expires_at":1,"expires_at":2}`,
		`{"value":"first","value":1}`,
		`{"value":1,"value":"last"}`,
		`{"value":"first","value":null}`,
		`{"Value":"a","VALUE":"b","Expires_At":1}`,
		`{"Value":"a","value":"b","valuE":"c"}`,
		`{"v\u0061lue":"\u0061\ud83d\ude00","expires\u005fat":5}`,
		`{"value":"a\ud800"}`,
		`{"value":"a` + "\xff" + `"}`,
		`{"value":"a","` + "\xff" + `":1}`,
		`{"value":"a b"}`,
		`{"value":"a\u00a0\u2028\u0085"}`,
		`{"value":"a\u200b"}`,
		`{"value":"a\u0007"}`,
		`{"value":"","expires_at":1}`,
		`{"value":["a"]}`,
		`{"value":{"value":"a"}}`,
		`{"value":true,"expires_at":true}`,
		`{"value":"a","expires_at":"1790000000"}`,
		`{"value":"a","expires_at":1.79e9}`,
		`{"value":"a","expires_at":-0.5e-3}`,
		`{"value":"a","expires_at":1e999}`,
		`{"value":"a","expires_at":01}`,
		`{"value":"a","expires_at":[1]}`,
		`{"value":"a",}`,
		`{"value":"a"}}`,
		`{"value":"a"} {}`,
		`{"value":"a","x":[{"y":[1,-2.5E+3,true,false,null,"\"\\\/\b\f\n\r\t"]}]}`,
		`{"value":"a","x":tru}`,
		`{"value":"a","x":"` + "\t" + `"}`,
		`{"value":"a","x":"\x"}`,
		"\ufeff" + `{"value":"a"}`,
		`[{"value":"a"}]`, `"value"`, `null`, `{}`, `{`, ``, `<html>`,
		`{"value":"a","x":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`,
		`{"value":"a","pad":"` + strings.Repeat("x", maxAnswer) + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const lifetime = 5 * time.Minute
		original := bytes.Clone(body)
		before := time.Now().Add(lifetime).Unix()
		got, err := parseToken(body, lifetime)
		after := time.Now().Add(lifetime).Unix()

		wantValue, wantExpiresAt, wantErr := readTokenPlainly(original)
		if wantErr != nil {
			if got != nil || err == nil || err.Error() != wantErr.Error() {
				t.Fatalf("got %+v and error %v, want error %v", got, err, wantErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("got error %v, want the value %q", err, wantValue)
		}
		if got.value != wantValue || !bytes.Equal(got.body, original) {
			t.Errorf("got the value %q of %q, want %q", got.value, got.body, wantValue)
		}
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(wantValue)))[:16]; got.id != want {
			t.Errorf("got the id %s, want %s", got.id, want)
		}
		if wantExpiresAt < 0 { // xAI did not say
			if got.expiresAt < before || got.expiresAt > after {
				t.Errorf("got the expiry %d, want %d to %d", got.expiresAt, before, after)
			}
		} else if got.expiresAt != wantExpiresAt {
			t.Errorf("got the expiry %d, want %d", got.expiresAt, wantExpiresAt)
		}
	})
}

// unusable is what a token has no business to contain: white space, control
// characters, and what stands for bytes that are no UTF-8.
var unusable = regexp.MustCompile(`[\s\v\p{Cc}\p{Z}\x{fffd}]`)

// readTokenPlainly is what FuzzParseToken holds parseToken to. An expiry that xAI
// does not tell, or not in a way that makes sense, is -1.
func readTokenPlainly(body []byte) (value string, expiresAt int64, err error) {
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
	if unusable.MatchString(value) {
		return "", 0, errors.New("its value has white space or control characters")
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
