// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault is one place on the way to xAI and one manner in which bytes stop there.
type fault struct {
	name   string
	do     rawFault
	status int
	final  bool // another attempt would not change it, so there is none
}

// faultTimeout is the time that a request without retries has.
const faultTimeout = 500 * time.Millisecond

const (
	okLine   = "HTTP/1.1 200 OK\r\n"
	longBody = okLine + "Content-Length: 70000\r\n\r\n"
	chunked  = okLine + "Transfer-Encoding: chunked\r\n\r\nfffff\r\n"
	earlier  = "HTTP/1.1 103 Early Hints\r\n\r\n"
)

// faults lists what can befall an exchange over HTTP/1.1.
func faults() []fault {
	var all []fault
	for _, place := range []struct {
		name, said  string
		endOfAnswer bool // an answer may end here
		refused     bool // the status says enough
	}{
		{"before the answer", "", false, false},
		{"in the status", "HTTP/1.1 20", false, false},
		{"in the headers", okLine + "Content-Le", false, false},
		{"before the body", longBody, false, false},
		{"in the body", longBody + `{"value":"`, false, false},
		{"in a chunk", chunked + `{"value":"`, false, false},
		{"in a body without a length", okLine + "\r\n" + `{"value":"`, true, false},
		{"in the body of a refusal", "HTTP/1.1 503 Busy\r\nContent-Length: 70000\r\n\r\n{", false, true},
	} {
		slow := http.StatusGatewayTimeout
		if place.refused {
			slow = http.StatusBadGateway
		}
		body := strings.Contains(place.said, "\r\n\r\n") && !place.refused
		all = append(all,
			fault{"silence " + place.name, say(place.said, hang), slow, false},
			fault{"a drip " + place.name, say(place.said, drip), slow, false},
			fault{"an end " + place.name, say(place.said, cut), 502, place.endOfAnswer},
			fault{"a reset " + place.name, say(place.said, reset), 502, false},
			fault{"a flood " + place.name, say(place.said, flood("x")), 502, body},
		)
	}
	return append(all,
		fault{"no HTTP", say("220 mail.example.com ESMTP\r\n", cut), 502, false},
		fault{"a chunk of no size", say(okLine+"Transfer-Encoding: chunked\r\n\r\nx\r\n", cut), 502, false},
		fault{"a flood of headers", say(okLine, flood("A: x\r\n")), 502, false},
		fault{"early answers, and then nothing", say(strings.Repeat(earlier, 100), hang), 504, false},
		fault{"a flood of early answers", flood(earlier), 502, false},
		fault{"another protocol", say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", hang), 502, true},
		fault{"a compressed body that is none", say(okLine+"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", cut), 502, false},
		fault{"a flood after the body of a refusal", say("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", flood("x")), 502, false},
		fault{"a good answer, and then an end", say(goodAnswer(), cut), 200, true},
		fault{"a good answer, and then a flood", say(goodAnswer(), flood("x")), 200, true},
	)
}

// faultTry is one way to meet a fault.
type faultTry struct {
	name, path string
	options    string
	times      int // how often xAI misbehaves; 0 is always
	used       bool
}

// TestFaults stops the bytes on their way to and from xAI at every place, in
// every manner: for a request that is not tried again, for one that is, and on a
// connection that served before.
func TestFaults(t *testing.T) {
	once := fmt.Sprintf("retries 0\n\t\ttimeout %s", faultTimeout)
	again := fmt.Sprintf("retries 2\n\t\ttimeout %s", 3*faultTimeout)
	tries := []faultTry{
		{"without retries", "new", once, 0, false},
		{"without retries, on a used connection", "used", once, 0, true},
		{"once, with retries", "once", again, 1, false},
		{"once, with retries, on a used connection", "onceused", again, 1, true},
	}
	cases := faults()
	ups := make([][]*rawUpstream, len(cases))
	var site strings.Builder
	site.WriteString("http://SITE {\n")
	for i := range cases {
		for _, try := range tries {
			up := newRawUpstream(t)
			ups[i] = append(ups[i], up)
			fmt.Fprintf(&site, "\txai_ephemeral_token /%d/%s %s {\n\t\tendpoint %s\n\t\trate_limit off\n\t\t%s\n\t}\n",
				i, try.path, testKey, up.url, try.options)
		}
	}
	site.WriteString("}\n")
	s := startCaddy(t, nil, site.String())
	t.Run("each", func(t *testing.T) {
		for i, test := range cases {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				var group sync.WaitGroup
				for j, try := range tries {
					group.Go(func() { meetFault(t, s, test, try, ups[i][j], fmt.Sprintf("%s/%d/%s", s.url, i, try.path)) })
				}
				group.Wait()
			})
		}
	})
}

// meetFault has a request meet a fault and checks what comes of it.
func meetFault(t *testing.T, s *caddyServer, test fault, try faultTry, up *rawUpstream, url string) {
	t.Helper()
	forever, first := test.do, []rawFault(nil)
	if try.times > 0 {
		forever, first = nil, []rawFault{test.do}
	}
	if try.used {
		first = append([]rawFault{nil}, first...)
	}
	up.exchanges.set(forever, first...)
	if try.used {
		if got, err := s.try(t.Context(), http.MethodPost, url); err != nil || got.StatusCode != http.StatusOK {
			t.Errorf("%s: the first exchange got no token; error %v", try.name, err)
			return
		}
	}
	want, reached := test.status, 1
	if try.times > 0 && !test.final {
		want, reached = http.StatusOK, 2
	}
	before := up.exchanges.count()
	s.expect(t, url, want, 3*faultTimeout)
	if called := up.exchanges.count() - before; called != reached {
		t.Errorf("%s: xAI was called %d times, want %d", try.name, called, reached)
	}
	if opened := up.connections.count(); try.used && opened > reached {
		t.Errorf("%s: %d connections were opened", try.name, opened)
	}
}

// expect asks for a token, and checks the status and that it came in time. It is
// for any goroutine.
func (s *caddyServer) expect(t *testing.T, url string, status int, within time.Duration) {
	t.Helper()
	start := time.Now()
	got, err := s.try(t.Context(), http.MethodPost, url)
	took := time.Since(start)
	if err != nil {
		t.Error(err)
	} else if got.StatusCode != status {
		t.Errorf("%s: got %d, want %d", url, got.StatusCode, status)
	}
	// A machine that is busy may be late, but not for long.
	if took > within+time.Second {
		t.Errorf("%s: it took %s", url, took)
	}
}

// TestEndlessAnswersTakeLittleMemory floods one request after the other, and
// measures all that the process allocated meanwhile, the test's own part included.
func TestEndlessAnswersTakeLittleMemory(t *testing.T) {
	const most = 8 << 20
	bomb := compressedBody(20 << 20)
	raw := newRawUpstream(t)
	s := startCaddy(t, nil, strings.NewReplacer("UPSTREAM", raw.url, "rate_limit off", "rate_limit off\n\t\tretries 0").Replace(simpleSite))
	for name, answer := range map[string]rawFault{
		"a status":           flood("x"),
		"headers":            say(okLine, flood("A: x\r\n")),
		"a header":           say(okLine+"A: ", flood("x")),
		"early answers":      flood(earlier),
		"a body":             say(okLine+"\r\n", flood("x")),
		"a chunked body":     say(okLine+"Transfer-Encoding: chunked\r\n\r\n", flood("1\r\nx\r\n")),
		"a chunk":            say(chunked, flood("x")),
		"a refusal":          say("HTTP/1.1 400 Bad\r\n\r\n", flood("x")),
		"something after it": say(goodAnswer(), flood("x")),
		"a compressed body":  say(okLine+"Content-Encoding: gzip\r\n\r\n"+bomb, cut),
	} {
		t.Run(name, func(t *testing.T) {
			raw.exchanges.set(nil)
			s.post() // what is made once
			raw.exchanges.set(answer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.post()
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > most {
				t.Errorf("%d KiB were allocated", grown>>10)
			}
		})
	}
}

// TestOutage has xAI be down while many ask. That costs nothing but their errors,
// and the first request after it gets its token, although refills still pause.
func TestOutage(t *testing.T) {
	raw := newRawUpstream(t)
	s := startCaddy(t, nil, strings.NewReplacer("UPSTREAM", raw.url,
		"rate_limit off", "rate_limit off\n\t\ttimeout 2s\n\t\tprefetch 4").Replace(simpleSite))
	if got := s.post(); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d", got.StatusCode)
	}
	s.waitPrefetched(4)
	goroutines := runtime.NumGoroutine()

	raw.shutDown()
	for i := range 4 {
		if got := s.post(); got.StatusCode != http.StatusOK {
			t.Errorf("request %d during the outage got %d, want a token from the stock", i, got.StatusCode)
		}
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				got, err := s.try(t.Context(), http.MethodPost, s.url+"/session")
				if err != nil {
					t.Error(err)
				} else if got.StatusCode != http.StatusBadGateway {
					t.Errorf("got %d, want 502", got.StatusCode)
				}
			}
		})
	}
	group.Wait()
	eventually(t, "refills pause", func() bool { return strings.Contains(s.readFile("caddy.log"), "prefetching paused") })

	raw.listen(t, raw.address)
	if got := s.post(); got.StatusCode != http.StatusOK {
		t.Errorf("the first request after the outage got %d", got.StatusCode)
	}
	s.waitPrefetched(4)
	eventually(t, "all is as before", func() bool {
		s.client.CloseIdleConnections()
		return runtime.NumGoroutine() <= goroutines
	})
}

// TestRefillsMeetFaults has the call that mints ahead meet each fault. Requests
// are served meanwhile as if nothing had happened.
func TestRefillsMeetFaults(t *testing.T) {
	cases := faults()
	var site strings.Builder
	site.WriteString("http://SITE {\n")
	ups := make([]*rawUpstream, len(cases))
	for i := range cases {
		ups[i] = newRawUpstream(t)
		ups[i].exchanges.set(nil, nil, nil, cases[i].do) // the request, the stock, and the refill
		fmt.Fprintf(&site, "\txai_ephemeral_token /%d %s {\n\t\tendpoint %s\n\t\trate_limit off\n\t\ttimeout 5s\n\t\tprefetch 1\n\t}\n",
			i, testKey, ups[i].url)
	}
	site.WriteString("}\n")
	s := startCaddy(t, nil, site.String())
	ask := func(i int) {
		start := time.Now()
		got := s.do(http.MethodPost, fmt.Sprintf("%s/%d", s.url, i))
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", cases[i].name, got.StatusCode)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: a request waited for %s", cases[i].name, took)
		}
	}
	for i := range cases {
		ask(i)
	}
	s.waitPrefetched(len(cases))
	for i := range cases {
		ask(i) // from the stock
		eventually(t, "the refill meets the fault", func() bool { return ups[i].exchanges.count() == 3 })
		ask(i)
	}
	eventually(t, "the stocks are full again", func() bool { return s.prefetched() == len(cases) })
}
