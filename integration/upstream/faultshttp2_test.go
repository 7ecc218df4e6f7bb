// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// http2FaultCase is one place in an exchange over HTTP/2 and what befalls it
// there.
type http2FaultCase struct {
	name   string
	do     caddytest.HTTP2Fault
	status int
	final  bool // another attempt would not change it, so there is none
}

// timeouts returns the time that a request has without retries, and with them. It
// is short where it will pass, and long where a slow machine must not use it up.
func (c http2FaultCase) timeouts() (always, once time.Duration) {
	if c.status == http.StatusGatewayTimeout {
		return faultTimeout, 6 * faultTimeout
	}
	return 10 * time.Second, 10 * time.Second
}

// errEnd ends a connection.
var errEnd = errors.New("the end")

// http2Faults lists what can befall an exchange over HTTP/2.
func http2Faults() []http2FaultCase {
	var all []http2FaultCase
	for place, before := range map[string]caddytest.HTTP2Fault{
		"before the answer": nothing,
		"before the body":   okHeaders,
		"in the body": func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(okHeaders(conn, stream), conn.WriteData(stream, false, []byte(`{"value":"`)))
		},
	} {
		after := func(do caddytest.HTTP2Fault) caddytest.HTTP2Fault {
			return func(conn *caddytest.HTTP2Conn, stream uint32) error {
				return errors.Join(before(conn, stream), do(conn, stream))
			}
		}
		all = append(all,
			http2FaultCase{"silence " + place, after(nothing), 504, false},
			http2FaultCase{"a connection that dies " + place, after(dieSilently), 504, false},
			http2FaultCase{"an end " + place, after(end), 502, false},
			http2FaultCase{"a reset of the connection " + place, after(resetConnection), 502, false},
			http2FaultCase{"a reset of the stream " + place, after(resetStream(http2.ErrCodeInternal)), 502, false},
			http2FaultCase{"an endless flood of pings " + place, after(floodOf(ping)), 504, false},
			http2FaultCase{"an endless flood of settings " + place, after(floodOf(func(conn *caddytest.HTTP2Conn, _ uint32) error { return conn.WriteSettings() })), 504, false},
			http2FaultCase{"no HTTP/2 " + place, after(sayPlainly("HTTP/1.1 200 OK\r\n\r\n")), 502, false},
			http2FaultCase{"a window that overflows " + place, after(overflow), 502, false},
			http2FaultCase{"a setting that cannot be " + place, after(badSetting), 502, false},
			http2FaultCase{"an answer nobody asked for " + place, after(push), 502, false},
		)
	}
	return append(all,
		http2FaultCase{"a protocol error of the stream", resetStream(http2.ErrCodeProtocol), 502, false},
		// Go's client itself tries these again, and waits longer from time to time.
		http2FaultCase{"a refusal of the stream", resetStream(http2.ErrCodeRefusedStream), 504, false},
		http2FaultCase{"a goodbye", goAway(http2.ErrCodeNo), 504, false},
		http2FaultCase{"a goodbye for calling too often", goAway(http2.ErrCodeEnhanceYourCalm), 502, false},

		http2FaultCase{"a goodbye, and an end", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(conn.WriteGoAway(stream, http2.ErrCodeEnhanceYourCalm, []byte("no "+caddytest.Key)), errEnd)
		}, 502, false},

		http2FaultCase{"no status", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return conn.WriteHeaderFields(stream, "content-type", "application/json")
		}, 502, false},
		http2FaultCase{"a status that is none", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return conn.WriteHeaderFields(stream, ":status", "ok")
		}, 502, false},
		http2FaultCase{"a header of two gigabytes", endlessHeaders("\x00\x01a\x7f\x80\xff\xff\xff\x07", "x"), 502, false},
		http2FaultCase{"an endless flood of headers", endlessHeaders("\x88", "\x00\x01a\x01b"), 502, false},
		http2FaultCase{"an endless flood of early answers", floodOf(func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return conn.WriteHeaderFields(stream, ":status", "103", "link", "</a>")
		}), 502, false},
		http2FaultCase{"a drip in the body", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(okHeaders(conn, stream), floodOf(func(conn *caddytest.HTTP2Conn, stream uint32) error {
				time.Sleep(20 * time.Millisecond) // its manner, not a wait for anything
				return conn.WriteData(stream, false, []byte("x"))
			})(conn, stream))
		}, 504, false},
		http2FaultCase{"an endless flood in the body", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(okHeaders(conn, stream), floodOf(func(conn *caddytest.HTTP2Conn, stream uint32) error {
				return conn.WriteData(stream, false, make([]byte, 4096))
			})(conn, stream))
		}, 502, true},
		http2FaultCase{"less than was announced", bodyOf("100", "{}"), 502, false},
		http2FaultCase{"more than was announced", bodyOf("1", "{}"), 502, false},
		http2FaultCase{"a good answer, and then a goodbye", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(caddytest.GoodFrames(conn, stream), conn.WriteGoAway(stream, http2.ErrCodeNo, nil))
		}, 200, true},
		http2FaultCase{"a good answer, and then a reset of the stream", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(caddytest.GoodFrames(conn, stream), conn.WriteRSTStream(stream, http2.ErrCodeNo))
		}, 200, true},
		http2FaultCase{"a good answer, and then an end", func(conn *caddytest.HTTP2Conn, stream uint32) error {
			return errors.Join(caddytest.GoodFrames(conn, stream), conn.Bare.(*tls.Conn).CloseWrite(), dieSilently(conn, stream))
		}, 200, true},
	)
}

func okHeaders(conn *caddytest.HTTP2Conn, stream uint32) error {
	return conn.WriteHeaderFields(stream, ":status", "200")
}

func nothing(*caddytest.HTTP2Conn, uint32) error { return nil }

func end(*caddytest.HTTP2Conn, uint32) error { return errEnd }

// dieSilently answers nothing any more, pings neither.
func dieSilently(conn *caddytest.HTTP2Conn, _ uint32) error {
	_, err := io.Copy(io.Discard, conn.Bare)
	return errors.Join(err, errEnd)
}

func resetConnection(conn *caddytest.HTTP2Conn, _ uint32) error {
	caddytest.Reset(conn.Bare)
	return errEnd
}

func resetStream(code http2.ErrCode) caddytest.HTTP2Fault {
	return func(conn *caddytest.HTTP2Conn, stream uint32) error { return conn.WriteRSTStream(stream, code) }
}

// goAway says that nothing of what was asked has been looked at.
func goAway(code http2.ErrCode) caddytest.HTTP2Fault {
	return func(conn *caddytest.HTTP2Conn, _ uint32) error {
		return conn.WriteGoAway(0, code, []byte("no "+caddytest.Key))
	}
}

func ping(conn *caddytest.HTTP2Conn, _ uint32) error { return conn.WritePing(false, [8]byte{}) }

// floodOf does the same again and again, whatever the plugin says to it.
func floodOf(do caddytest.HTTP2Fault) caddytest.HTTP2Fault {
	return func(conn *caddytest.HTTP2Conn, stream uint32) error {
		go func() { _, _ = io.Copy(io.Discard, conn.Bare) }() // ends with the connection
		for {
			if err := do(conn, stream); err != nil {
				return err
			}
		}
	}
}

// sayPlainly sends a text that is no frame.
func sayPlainly(text string) caddytest.HTTP2Fault {
	return func(conn *caddytest.HTTP2Conn, _ uint32) error {
		_, err := io.WriteString(conn.Bare, text)
		return err
	}
}

func overflow(conn *caddytest.HTTP2Conn, _ uint32) error {
	return conn.WriteWindowUpdate(0, math.MaxInt32)
}

func badSetting(conn *caddytest.HTTP2Conn, _ uint32) error {
	return conn.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: math.MaxUint32})
}

// closeWindow has no room for a byte of the next request's body.
func closeWindow(conn *caddytest.HTTP2Conn, stream uint32) error {
	return errors.Join(conn.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}), caddytest.GoodFrames(conn, stream))
}

func push(conn *caddytest.HTTP2Conn, stream uint32) error {
	return conn.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, EndHeaders: true})
}

// endlessHeaders sends compressed headers: a beginning, and then the same again and
// again.
func endlessHeaders(beginning, again string) caddytest.HTTP2Fault {
	part := []byte(strings.Repeat(again, 4096/len(again)))
	return func(conn *caddytest.HTTP2Conn, stream uint32) error {
		return errors.Join(conn.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(beginning)}),
			floodOf(func(conn *caddytest.HTTP2Conn, stream uint32) error {
				return conn.WriteContinuation(stream, false, part)
			})(conn, stream))
	}
}

// bodyOf sends a body, and announces it at some length.
func bodyOf(length, body string) caddytest.HTTP2Fault {
	return func(conn *caddytest.HTTP2Conn, stream uint32) error {
		return errors.Join(conn.WriteHeaderFields(stream, ":status", "200", "content-length", length),
			conn.WriteData(stream, true, []byte(body)))
	}
}

// TestHTTP2Faults is TestFaults over HTTP/2: for a request that is not tried
// again, and for one that is, on a connection that served before.
func TestHTTP2Faults(t *testing.T) {
	ca := caddytest.NewAuthority(t, t.TempDir())
	ca.IssueServer("server", nil, net.IPv4(127, 0, 0, 1))
	pair := ca.Load("server")
	cases := http2Faults()
	ups := make([][2]*caddytest.HTTP2Upstream, len(cases))
	var site strings.Builder
	site.WriteString("http://SITE {\n")
	endpoint := func(path, url, options string) {
		fmt.Fprintf(&site, "\txai_ephemeral_token /%s %s {\n\t\tendpoint %s\n\t\trate_limit off\n\t\t%s\n\t\ttransport http {\n\t\t\ttls_trust_pool file %s/ca.crt\n\t\t}\n\t}\n",
			path, caddytest.Key, url, options, filepath.ToSlash(ca.Dir))
	}
	for i := range cases {
		ups[i] = [2]*caddytest.HTTP2Upstream{caddytest.NewHTTP2Upstream(t, pair), caddytest.NewHTTP2Upstream(t, pair)}
		always, once := cases[i].timeouts()
		endpoint(fmt.Sprintf("%d/always", i), ups[i][0].URL, fmt.Sprintf("retries 0\n\t\ttimeout %s", always))
		endpoint(fmt.Sprintf("%d/once", i), ups[i][1].URL, fmt.Sprintf("retries 2\n\t\ttimeout %s", once))
	}
	stalled := caddytest.NewHTTP2Upstream(t, pair)
	stalled.Requests.Set(nil, closeWindow)
	endpoint("stalled", stalled.URL, fmt.Sprintf("retries 0\n\t\ttimeout %s", faultTimeout))
	site.WriteString("}\n")
	s := caddytest.Start(t, nil, site.String())

	t.Run("each", func(t *testing.T) {
		for i, test := range cases {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				meetHTTP2Fault(t, s, test, ups[i], fmt.Sprintf("%s/%d", s.URL, i))
			})
		}
		t.Run("a request's body that is not taken", func(t *testing.T) {
			t.Parallel()
			expect(t, s, s.URL+"/stalled", http.StatusOK, faultTimeout)
			expect(t, s, s.URL+"/stalled", http.StatusGatewayTimeout, faultTimeout)
		})
	})
	// The goodbye that ends the connection, too, said why.
	if log := s.ReadFile("caddy.log"); !strings.Contains(log, "no [key]") || strings.Contains(log, "no "+caddytest.Key) {
		t.Error("the log has the key, or not what came with it")
	}
}

// meetHTTP2Fault has requests meet a fault, always at the first upstream and once
// at the second, and checks what comes of it.
func meetHTTP2Fault(t *testing.T, s *caddytest.Server, test http2FaultCase, ups [2]*caddytest.HTTP2Upstream, url string) {
	t.Helper()
	always, once := test.timeouts()
	var group sync.WaitGroup
	group.Go(func() {
		defer ups[0].ShutDown() // a flood would go on
		ups[0].Requests.Set(test.do)
		expect(t, s, url+"/always", test.status, always)
	})
	group.Go(func() {
		defer ups[1].ShutDown()
		ups[1].Requests.Set(nil, nil, test.do)
		want, calls := http.StatusOK, 3
		if test.final {
			want, calls = test.status, 2
		}
		expect(t, s, url+"/once", http.StatusOK, once)
		expect(t, s, url+"/once", want, once)
		if n := ups[1].Requests.Count(); n != calls {
			t.Errorf("xAI was called %d times, want %d", n, calls)
		}
	})
	group.Wait()
}
