// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xaitest"
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

		wantValue, wantExpiresAt, wantErr := xaitest.ReadToken(original)
		if wantErr != nil {
			if got != nil || err == nil || err.Error() != wantErr.Error() {
				t.Fatalf("got %+v and error %v, want error %v", got, err, wantErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("got error %v, want the value %q", err, wantValue)
		}
		if got.Value != wantValue || !bytes.Equal(got.Body, original) {
			t.Errorf("got the value %q of %q, want %q", got.Value, got.Body, wantValue)
		}
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(wantValue)))[:16]; got.ID != want {
			t.Errorf("got the id %s, want %s", got.ID, want)
		}
		if wantExpiresAt < 0 { // xAI did not say
			if got.ExpiresAt < before || got.ExpiresAt > after {
				t.Errorf("got the expiry %d, want %d to %d", got.ExpiresAt, before, after)
			}
		} else if got.ExpiresAt != wantExpiresAt {
			t.Errorf("got the expiry %d, want %d", got.ExpiresAt, wantExpiresAt)
		}
	})
}
