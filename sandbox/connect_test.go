// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// call is a client's side of a session.
type call struct {
	t    *testing.T
	conn *websocket.Conn
	ids  map[string]bool

	conversation string // its id
}

// heardEvent is what the tests look at in an event of the server.
type heardEvent struct {
	Type       string
	EventID    string `json:"event_id"`
	ItemID     string `json:"item_id"`
	Delta      string
	Transcript string
	Error      heardError
	StartMS    int `json:"audio_start_ms"`
	EndMS      int `json:"audio_end_ms"`
	Session    json.RawMessage
	Item       heardItem
	Response   struct {
		ID, Status    string
		StatusDetails string          `json:"status_details"`
		Metadata      json.RawMessage `json:"metadata"`
		Output        []heardItem
	}
	Conversation struct{ ID string }
	Previous     string `json:"previous_item_id"`
	CallID       string `json:"call_id"`
	Name         string
	Arguments    string
}

type heardError struct {
	Type, Code, Message, Param string

	EventID *string `json:"event_id"`
}

type heardItem struct {
	ID, Type, Role, Status string
	Content                []struct{ Type, Text, Transcript string }
	Replayed               bool
	CallID                 string `json:"call_id"`
	Name, Arguments        string
	Output                 string
}

// dial opens a session, and reads the three events that begin it.
func dial(t *testing.T, client *http.Client, url string, options *websocket.DialOptions, query ...string) *call {
	t.Helper()
	options.HTTPClient = client
	conn, response, err := handshake(t, url, options, query...) //nolint:bodyclose // Dial says that nobody has to
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("x-request-id") == "" {
		t.Error("the upgrade has no x-request-id")
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(maxMessage)
	c := &call{t: t, conn: conn, ids: make(map[string]bool)}
	c.expect("session.created")
	c.conversation = c.expect("conversation.created").Conversation.ID
	c.expect("ping")
	return c
}

func handshake(t *testing.T, url string, options *websocket.DialOptions, query ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	return websocket.Dial(t.Context(), url+realtimePath+"?model=grok-voice-latest"+strings.Join(query, ""), options)
}

func withBearer(token string) *websocket.DialOptions {
	return &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}}
}

func withSubprotocol(token string) *websocket.DialOptions {
	return &websocket.DialOptions{Subprotocols: []string{subprotocolPrefix + token}}
}

func (c *call) send(message string) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next event, whatever it is.
func (c *call) next() heardEvent {
	c.t.Helper()
	kind, data, err := c.conn.Read(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if kind != websocket.MessageText {
		c.t.Fatalf("got a binary frame of %d bytes", len(data))
	}
	return c.parse(data)
}

func (c *call) parse(data []byte) heardEvent {
	c.t.Helper()
	var e heardEvent
	if err := json.Unmarshal(data, &e); err != nil {
		c.t.Fatalf("%s is no event: %v", data, err)
	}
	if e.EventID == "" || c.ids[e.EventID] {
		c.t.Errorf("%s has no event_id of its own", data)
	}
	c.ids[e.EventID] = true
	return e
}

// expect returns the next event, which must be of this kind.
func (c *call) expect(kind string) heardEvent {
	c.t.Helper()
	e := c.next()
	if e.Type != kind {
		c.t.Fatalf("got %+v, want %s", e, kind)
	}
	return e
}

// until returns all events up to the first of this kind, without pings.
func (c *call) until(kind string) []heardEvent {
	c.t.Helper()
	var events []heardEvent
	for {
		e := c.next()
		if e.Type != "ping" {
			events = append(events, e)
		}
		if e.Type == kind {
			return events
		}
	}
}

// kinds returns the types of events. Those of deltas, which come many times and in
// turns, appear once each.
func kinds(events []heardEvent) []string {
	var kinds []string
	for i := range events {
		kind := events[i].Type
		if strings.HasSuffix(kind, ".delta") && slices.Contains(kinds, kind) {
			continue
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

func TestConnecting(t *testing.T) {
	t.Run("with the token as a bearer", func(t *testing.T) {
		s := new(Server)
		server := start(t, s)
		c := dial(t, server.Client(), server.URL, withBearer(mintToken(t, s)))
		if c.conn.Subprotocol() != "" {
			t.Errorf("the subprotocol %q was selected, which nobody offered", c.conn.Subprotocol())
		}
	})
	t.Run("with the token as a subprotocol, among others", func(t *testing.T) {
		s := new(Server)
		server := start(t, s)
		options := withSubprotocol(mintToken(t, s))
		want := options.Subprotocols[0]
		options.Subprotocols = []string{"realtime", want, "other"}
		c := dial(t, server.Client(), server.URL, options)
		if c.conn.Subprotocol() != want {
			t.Errorf("the subprotocol %q was selected, want %q", c.conn.Subprotocol(), want)
		}
	})
	t.Run("with the API key, again and again", func(t *testing.T) {
		s := &Server{APIKey: "some-key"}
		server := start(t, s)
		dial(t, server.Client(), server.URL, withBearer("some-key"))
		dial(t, server.Client(), server.URL, withBearer("some-key"))
	})
	t.Run("from a page of another origin, that sends a password as well", func(t *testing.T) {
		s := new(Server)
		server := start(t, s)
		options := withSubprotocol(mintToken(t, s))
		options.HTTPHeader = http.Header{"Origin": {"https://elsewhere.example"}, "Authorization": {"Basic dTpw"}}
		dial(t, server.Client(), server.URL, options)
	})
}

func TestConnectingRefused(t *testing.T) {
	s := new(Server)
	server := start(t, s)
	withKey := start(t, &Server{APIKey: "some-key"})
	used := mintToken(t, s)
	dial(t, server.Client(), server.URL, withBearer(used))

	for _, test := range []struct {
		name    string
		url     string
		options *websocket.DialOptions
		status  int
	}{
		{"nothing", server.URL, &websocket.DialOptions{}, 401},
		{"an empty bearer", server.URL, withBearer(""), 401},
		{"an unknown token", server.URL, withBearer(valuePrefix + "AAAA"), 401},
		{"a used token as a bearer", server.URL, withBearer(used), 401},
		{"a used token as a subprotocol", server.URL, withSubprotocol(used), 401},
		{"another subprotocol", server.URL, &websocket.DialOptions{Subprotocols: []string{"realtime"}}, 401},
		{"a key where every key can mint", server.URL, withBearer("some-key"), 400},
		{"a wrong key", withKey.URL, withBearer("other-key"), 400},
		{"the key as a subprotocol", withKey.URL, withSubprotocol("some-key"), 400},
		{"a key that misbehaves", withKey.URL, withBearer("xai-sandbox-503"), 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, response, err := handshake(t, test.url, test.options) //nolint:bodyclose // Dial says that nobody has to
			if err == nil {
				_ = conn.CloseNow()
				t.Fatal("a session was opened")
			}
			if response == nil || response.StatusCode != test.status {
				t.Fatalf("got %v and %v, want %d", response, err, test.status)
			}
			if contentType := response.Header.Get("Content-Type"); contentType != "application/json" {
				t.Errorf("got content type %q", contentType)
			}
		})
	}
}

func TestATokenOpensOneSession(t *testing.T) {
	s := new(Server)
	server := start(t, s)
	token := mintToken(t, s)
	opened := make(chan *websocket.Conn)
	const attempts = 20
	for range attempts {
		go func() {
			conn, _, err := handshake(t, server.URL, withSubprotocol(token)) //nolint:bodyclose // Dial says that nobody has to
			if err != nil {
				conn = nil
			}
			opened <- conn
		}()
	}
	sessions := 0
	for range attempts {
		if conn := <-opened; conn != nil {
			sessions++
			_ = conn.CloseNow()
		}
	}
	if sessions != 1 {
		t.Errorf("%d sessions were opened, want 1", sessions)
	}
}

func TestWhatIsNoWebSocket(t *testing.T) {
	s := new(Server)
	server := start(t, s)
	token := mintToken(t, s)
	for _, test := range []struct {
		name   string
		method string
		header http.Header // replaces that of a good handshake
		status int
	}{
		{"a plain GET", http.MethodGet, http.Header{"Connection": nil, "Upgrade": nil}, 426},
		{"an upgrade to something else", http.MethodGet, http.Header{"Upgrade": {"h2c"}}, 426},
		{"a POST", http.MethodPost, nil, 405},
		{"an old version", http.MethodGet, http.Header{"Sec-Websocket-Version": {"8"}}, 400},
		{"no key", http.MethodGet, http.Header{"Sec-Websocket-Key": nil}, 400},
		{"a short key", http.MethodGet, http.Header{"Sec-Websocket-Key": {"AAAA"}}, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+realtimePath, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{
				"Authorization":         {"Bearer " + token},
				"Connection":            {"Upgrade"},
				"Upgrade":               {"websocket"},
				"Sec-Websocket-Version": {"13"},
				"Sec-Websocket-Key":     {"AAAAAAAAAAAAAAAAAAAAAA=="},
			}
			maps.Copy(r.Header, test.header)
			got := do(t, server, r)
			if shape, _ := errorOf(t, got); got.status != test.status || shape != "flat" {
				t.Errorf("got %d %s, want %d", got.status, got.body, test.status)
			}
		})
	}
	// None of that has cost the token.
	dial(t, server.Client(), server.URL, withBearer(token))
}

func TestSessionsEnd(t *testing.T) {
	open := func(t *testing.T, s *Server, base context.Context) (*call, watched) {
		t.Helper()
		handler := watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(w, r.WithContext(base))
		}))
		server := start(t, handler)
		c := dial(t, server.Client(), server.URL, withBearer(mintToken(t, s)))
		c.send(typed("Hello"))
		c.send(`{"type":"response.create"}`)
		c.until("response.output_audio.delta")
		return c, handler
	}
	mustEnd := func(t *testing.T, handler watched) {
		t.Helper()
		if ended := <-handler.done; ended != nil {
			t.Errorf("the handler ended with %v", ended)
		}
	}
	t.Run("when the client says goodbye", func(t *testing.T) {
		c, handler := open(t, new(Server), t.Context())
		if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		mustEnd(t, handler)
	})
	t.Run("when the client vanishes", func(t *testing.T) {
		c, handler := open(t, new(Server), t.Context())
		_ = c.conn.CloseNow()
		mustEnd(t, handler)
	})
	t.Run("when the request's context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, handler := open(t, new(Server), ctx)
		cancel()
		mustEnd(t, handler)
	})
	t.Run("when the server is unloaded", func(t *testing.T) {
		unloaded := make(chan struct{})
		c, handler := open(t, &Server{unloaded: unloaded}, t.Context())
		close(unloaded)
		for {
			_, _, err := c.conn.Read(t.Context())
			if err == nil {
				continue
			}
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the session ended with %v, want status 1001", err)
			}
			break
		}
		mustEnd(t, handler)
	})
	t.Run("when a message is too large", func(t *testing.T) {
		c, handler := open(t, new(Server), t.Context())
		_ = c.conn.Write(t.Context(), websocket.MessageText, make([]byte, maxMessage+2))
		for {
			_, _, err := c.conn.Read(t.Context())
			if err == nil {
				continue
			}
			if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
				t.Errorf("the session ended with %v, want status 1009", err)
			}
			break
		}
		mustEnd(t, handler)
	})
}
