// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		shape  string
	}{
		{400, "nested"}, {401, "flat"}, {403, "flat"}, {422, "nested"}, {429, "flat"}, {500, "flat"}, {503, "flat"},
	} {
		t.Run(strconv.Itoa(test.status), func(t *testing.T) {
			s := new(Server)
			s.Script(Status(test.status, "Retry-After", "2", "X-Other", "yes"))
			server := start(t, s)
			got := do(t, server, mintingRequest(t.Context(), t, server.URL))
			if got.status != test.status {
				t.Errorf("got status %d", got.status)
			}
			if shape, _ := errorOf(t, got); shape != test.shape {
				t.Errorf("got a %s error, want a %s one", shape, test.shape)
			}
			if got.header.Get("Retry-After") != "2" || got.header.Get("X-Other") != "yes" {
				t.Errorf("got header %v", got.header)
			}
		})
	}
}

func TestStatusWithoutAHeadersValuePanics(t *testing.T) {
	header := []string{"Retry-After", "2", "X-Other"}
	for name, fault := range map[string]func(){
		"Status": func() { Status(429, header...) },
		"Answer": func() { Answer(200, "", header...) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			fault()
		})
	}
}

func TestAnswer(t *testing.T) {
	s := new(Server)
	s.Script(Answer(200, `{"value":""}`), Answer(302, "elsewhere", "Location", "/", "Content-Type", "text/plain"))
	server := start(t, s)
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	got := do(t, server, mintingRequest(t.Context(), t, server.URL))
	if got.status != 200 || got.body != `{"value":""}` || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v", got)
	}
	got = do(t, server, mintingRequest(t.Context(), t, server.URL))
	if got.status != 302 || got.body != "elsewhere" || got.header.Get("Content-Type") != "text/plain" || got.header.Get("Location") != "/" {
		t.Errorf("got %+v", got)
	}
}

func TestScript(t *testing.T) {
	t.Run("each fault is for one request, in order", func(t *testing.T) {
		s := new(Server)
		s.Script(Status(500), nil, Status(502))
		s.Script(Status(503))
		server := start(t, s)
		for _, want := range []int{500, 200, 502, 503, 200, 200} {
			if got := do(t, server, mintingRequest(t.Context(), t, server.URL)); got.status != want {
				t.Errorf("got status %d, want %d", got.status, want)
			}
		}
	})
	t.Run("nothing is checked before a fault", func(t *testing.T) {
		s := &Server{APIKey: "some-key"}
		s.Script(Status(500))
		server := start(t, s)
		r := mintingRequest(t.Context(), t, server.URL)
		r.Method, r.Body, r.ContentLength, r.Header = http.MethodGet, nil, 0, http.Header{}
		if got := do(t, server, r); got.status != 500 {
			t.Errorf("got status %d, want 500", got.status)
		}
	})
	t.Run("other paths cost no fault", func(t *testing.T) {
		s := new(Server)
		s.Script(Status(500))
		server := start(t, s)
		for path, want := range map[string]int{"/": 404, "/v1/realtime": 405} {
			r := mintingRequest(t.Context(), t, server.URL)
			r.URL.Path = path
			if got := do(t, server, r); got.status != want {
				t.Errorf("%s: got status %d, want %d", path, got.status, want)
			}
		}
		if got := do(t, server, mintingRequest(t.Context(), t, server.URL)); got.status != 500 {
			t.Errorf("got status %d, want 500", got.status)
		}
	})
	t.Run("it can be extended while the server is serving", func(t *testing.T) {
		s := new(Server)
		var failed atomic.Int32
		var everybody sync.WaitGroup
		for range 50 {
			everybody.Go(func() { s.Script(Status(500)) })
			everybody.Go(func() {
				recorder := httptest.NewRecorder()
				s.ServeHTTP(recorder, mintingRequest(t.Context(), t, ""))
				if recorder.Code == 500 {
					failed.Add(1)
				}
			})
		}
		everybody.Wait()
		if got := int(failed.Load()) + len(s.script); got != 50 {
			t.Errorf("%d faults were used or are left, want 50", got)
		}
	})
	t.Run("a fault can be anybody's", func(t *testing.T) {
		s := new(Server)
		s.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
			w.Header().Set("X-Seen", "yes")
			mint(w, r)
		})
		server := start(t, s)
		got := do(t, server, mintingRequest(t.Context(), t, server.URL))
		mintedBy(t, got)
		if got.header.Get("X-Seen") != "yes" {
			t.Errorf("got header %v", got.header)
		}
	})
}

func TestDelay(t *testing.T) {
	t.Run("it mints afterwards", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := new(Server)
			s.Script(Delay(5 * time.Second))
			begin := time.Now()
			recorder := httptest.NewRecorder()
			s.ServeHTTP(recorder, mintingRequest(t.Context(), t, ""))
			if took := time.Since(begin); took != 5*time.Second {
				t.Errorf("took %v, want 5s", took)
			}
			// 300 seconds, which only the body asks for.
			_, expires := mintedBy(t, answer{recorder.Code, recorder.Header(), recorder.Body.String()})
			if want := time.Now().Add(300 * time.Second); !expires.Equal(want) {
				t.Errorf("the token expires at %v, want %v", expires, want)
			}
		})
	})
	t.Run("a body that is too large stays too large", func(t *testing.T) {
		s := new(Server)
		s.Script(Delay(0))
		server := start(t, s)
		r := mintingRequest(t.Context(), t, server.URL)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 2*maxBody))), 2*maxBody
		if got := do(t, server, r); got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("got status %d, want 413", got.status)
		}
	})
	t.Run("it ends when the client leaves", func(t *testing.T) {
		s := new(Server)
		s.Script(Delay(time.Hour))
		mustEndWithClient(t, s)
	})
}

func TestHang(t *testing.T) {
	t.Run("it ends when the client leaves", func(t *testing.T) {
		s := new(Server)
		s.Script(Hang())
		mustEndWithClient(t, s)
	})
	t.Run("it does not answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := new(Server)
			s.Script(Hang())
			client := startInBubble(t, s)
			client.Timeout = 24 * time.Hour
			response, err := client.Do(mintingRequest(t.Context(), t, "http://sandbox"))
			if err == nil {
				response.Body.Close()
				t.Errorf("got status %d, want no answer", response.StatusCode)
			}
		})
	})
}

func TestFaultsEndWithAClientThatLeavesInTheMiddleOfItsBody(t *testing.T) {
	for name, fault := range map[string]Fault{"Hang": Hang(), "Delay": Delay(time.Hour), "Break": Break(), "BreakMidBody": BreakMidBody(), "none": nil} {
		t.Run(name, func(t *testing.T) {
			s := new(Server)
			s.Script(fault)
			handler := watch(s)
			server := start(t, handler)
			var dialer net.Dialer
			conn, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(conn, "POST "+mintingPath+" HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer some-key\r\n"+
				"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if ended := <-handler.done; !errors.Is(ended, http.ErrAbortHandler) {
				t.Errorf("the handler ended with %v, want http.ErrAbortHandler", ended)
			}
		})
	}
}

func TestBreak(t *testing.T) {
	s := new(Server)
	s.Script(Break())
	server := start(t, s)
	response, err := server.Client().Do(mintingRequest(t.Context(), t, server.URL))
	if err == nil {
		response.Body.Close()
		t.Fatalf("got status %d, want no answer", response.StatusCode)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("got error %v, want a connection that ended", err)
	}
	mintedBy(t, do(t, server, mintingRequest(t.Context(), t, server.URL)))
}

func TestBreakMidBody(t *testing.T) {
	s := new(Server)
	s.Script(BreakMidBody())
	server := start(t, s)
	response, err := server.Client().Do(mintingRequest(t.Context(), t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got status %d and header %v", response.StatusCode, response.Header)
	}
	body, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(string(body), `{"value":"`) {
		t.Errorf("got %q and error %v, want half of a body", body, err)
	}
	mintedBy(t, do(t, server, mintingRequest(t.Context(), t, server.URL)))
}
