// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// TestRecordedSession compares a text turn with the events that a session of xAI sent
// on 2026-09-30, field by field. testdata/recorded.json has them, with a name in angle
// brackets in place of what is new each time, and one delta in place of many.
func TestRecordedSession(t *testing.T) {
	encoded, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []map[string]any
	if err := json.Unmarshal(encoded, &recorded); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		options := withSubprotocol(mintToken(t, s))
		options.HTTPClient = startInBubble(t, s)
		conn, _, err := handshake(t, "http://sandbox", options) //nolint:bodyclose // Dial says that nobody has to
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow() //nolint:errcheck // it may be closed already
		conn.SetReadLimit(maxMessage)

		seen := make(recording)
		next := 0
		for next < len(recorded) {
			e := readEvent(t, conn)
			kind := e["type"].(string)
			// After the first delta of its kind come others.
			again := slices.IndexFunc(recorded[:next], func(r map[string]any) bool { return r["type"] == kind })
			want := recorded[next]
			if again >= 0 && strings.HasSuffix(kind, ".delta") {
				want = recorded[again]
			} else {
				next++
			}
			seen.compare(t, kind, e, want)
			switch kind {
			case "ping":
				send(t, conn, `{"type":"session.update","session":{"modalities":["text"],"instructions":"Be brief."}}`)
			case "session.updated":
				send(t, conn, typed("Hello"))
			case "conversation.item.added":
				if e["previous_item_id"] == nil {
					send(t, conn, `{"type":"response.create"}`)
				}
			}
		}
	})
}

func readEvent(t *testing.T, conn *websocket.Conn) map[string]any {
	t.Helper()
	_, data, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return e
}

func send(t *testing.T, conn *websocket.Conn, message string) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// recording has what stood for each name that means the same wherever it is.
type recording map[string]any

// compare fails unless got, which stands at a path, is what was recorded there.
func (r recording) compare(t *testing.T, path string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(object)), slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s: got %v, want %v", path, got, want)
			return
		}
		for key := range want {
			r.compare(t, path+"."+key, object[key], want[key])
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
			return
		}
		for i := range want {
			r.compare(t, fmt.Sprintf("%s[%d]", path, i), list[i], want[i])
		}
	case string:
		if !r.fits(got, want) {
			t.Errorf("%s: got %v, want %s", path, got, want)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func (r recording) fits(got any, want string) bool {
	text, isText := got.(string)
	number, _ := got.(float64)
	switch want {
	case "<uuid>":
		return uuid.Validate(text) == nil
	case "<response>", "<item>":
		known, ok := r[want]
		r[want] = got
		return uuid.Validate(text) == nil && (!ok || known == got)
	case "<base64>":
		sound, err := base64.StdEncoding.DecodeString(text)
		return err == nil && len(sound) == 24000*2/10
	case "<text>":
		return isText && text != ""
	case "<milliseconds>":
		return number > 9e11 && number < 1e13 // of this century
	case "<number>":
		return number > 0
	default:
		return got == want
	}
}
