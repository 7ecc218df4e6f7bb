// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// fault is one place on the way to xAI and one manner in which bytes stop there.
type fault struct {
	name   string
	do     caddytest.RawFault
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
			fault{"silence " + place.name, caddytest.Say(place.said, caddytest.Hang), slow, false},
			fault{"a drip " + place.name, caddytest.Say(place.said, caddytest.Drip), slow, false},
			fault{"an end " + place.name, caddytest.Say(place.said, caddytest.Cut), 502, place.endOfAnswer},
			fault{"a reset " + place.name, caddytest.Say(place.said, caddytest.Reset), 502, false},
			fault{"a flood " + place.name, caddytest.Say(place.said, caddytest.Flood("x")), 502, body},
		)
	}
	return append(all,
		fault{"no HTTP", caddytest.Say("220 mail.example.com ESMTP\r\n", caddytest.Cut), 502, false},
		fault{"a chunk of no size", caddytest.Say(okLine+"Transfer-Encoding: chunked\r\n\r\nx\r\n", caddytest.Cut), 502, false},
		fault{"a flood of headers", caddytest.Say(okLine, caddytest.Flood("A: x\r\n")), 502, false},
		fault{"early answers, and then nothing", caddytest.Say(strings.Repeat(earlier, 100), caddytest.Hang), 504, false},
		fault{"a flood of early answers", caddytest.Flood(earlier), 502, false},
		fault{"another protocol", caddytest.Say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", caddytest.Hang), 502, true},
		fault{"a compressed body that is none", caddytest.Say(okLine+"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", caddytest.Cut), 502, false},
		fault{"a flood after the body of a refusal", caddytest.Say("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", caddytest.Flood("x")), 502, false},
		fault{"a good answer, and then an end", caddytest.Say(caddytest.GoodAnswer(), caddytest.Cut), 200, true},
		fault{"a good answer, and then a flood", caddytest.Say(caddytest.GoodAnswer(), caddytest.Flood("x")), 200, true},
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
	ups := make([][]*caddytest.RawUpstream, len(cases))
	var site strings.Builder
	site.WriteString("http://SITE {\n")
	for i := range cases {
		for _, try := range tries {
			up := caddytest.NewRawUpstream(t)
			ups[i] = append(ups[i], up)
			fmt.Fprintf(&site, "\txai_ephemeral_token /%d/%s %s {\n\t\tendpoint %s\n\t\trate_limit off\n\t\t%s\n\t}\n",
				i, try.path, caddytest.Key, up.URL, try.options)
		}
	}
	site.WriteString("}\n")
	s := caddytest.Start(t, nil, site.String())
	t.Run("each", func(t *testing.T) {
		for i, test := range cases {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				var group sync.WaitGroup
				for j, try := range tries {
					group.Go(func() { meetFault(t, s, test, try, ups[i][j], fmt.Sprintf("%s/%d/%s", s.URL, i, try.path)) })
				}
				group.Wait()
			})
		}
	})
}

// meetFault has a request meet a fault and checks what comes of it.
func meetFault(t *testing.T, s *caddytest.Server, test fault, try faultTry, up *caddytest.RawUpstream, url string) {
	t.Helper()
	forever, first := test.do, []caddytest.RawFault(nil)
	if try.times > 0 {
		forever, first = nil, []caddytest.RawFault{test.do}
	}
	if try.used {
		first = append([]caddytest.RawFault{nil}, first...)
	}
	up.Exchanges.Set(forever, first...)
	if try.used {
		if got, err := s.Try(t.Context(), http.MethodPost, url); err != nil || got.StatusCode != http.StatusOK {
			t.Errorf("%s: the first exchange got no token; error %v", try.name, err)
			return
		}
	}
	want, reached := test.status, 1
	if try.times > 0 && !test.final {
		want, reached = http.StatusOK, 2
	}
	before := up.Exchanges.Count()
	expect(t, s, url, want, 3*faultTimeout)
	if called := up.Exchanges.Count() - before; called != reached {
		t.Errorf("%s: xAI was called %d times, want %d", try.name, called, reached)
	}
	if opened := up.Connections.Count(); try.used && opened > reached {
		t.Errorf("%s: %d connections were opened", try.name, opened)
	}
}

// expect asks for a token, and checks the status and that it came in time. It is
// for any goroutine.
func expect(t *testing.T, s *caddytest.Server, url string, status int, within time.Duration) {
	t.Helper()
	start := time.Now()
	got, err := s.Try(t.Context(), http.MethodPost, url)
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
	raw := caddytest.NewRawUpstream(t)
	s := caddytest.Start(t, nil, strings.Replace(caddytest.Site("rate_limit off", "retries 0"), "UPSTREAM", raw.URL, 1))
	for name, answer := range map[string]caddytest.RawFault{
		"a status":           caddytest.Flood("x"),
		"headers":            caddytest.Say(okLine, caddytest.Flood("A: x\r\n")),
		"a header":           caddytest.Say(okLine+"A: ", caddytest.Flood("x")),
		"early answers":      caddytest.Flood(earlier),
		"a body":             caddytest.Say(okLine+"\r\n", caddytest.Flood("x")),
		"a chunked body":     caddytest.Say(okLine+"Transfer-Encoding: chunked\r\n\r\n", caddytest.Flood("1\r\nx\r\n")),
		"a chunk":            caddytest.Say(chunked, caddytest.Flood("x")),
		"a refusal":          caddytest.Say("HTTP/1.1 400 Bad\r\n\r\n", caddytest.Flood("x")),
		"something after it": caddytest.Say(caddytest.GoodAnswer(), caddytest.Flood("x")),
		"a compressed body":  caddytest.Say(okLine+"Content-Encoding: gzip\r\n\r\n"+bomb, caddytest.Cut),
	} {
		t.Run(name, func(t *testing.T) {
			raw.Exchanges.Set(nil)
			s.Post() // what is made once
			raw.Exchanges.Set(answer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.Post()
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
	raw := caddytest.NewRawUpstream(t)
	s := caddytest.Start(t, nil, strings.Replace(caddytest.Site("rate_limit off", "timeout 2s", "prefetch 4"), "UPSTREAM", raw.URL, 1))
	if got := s.Post(); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d", got.StatusCode)
	}
	s.WaitPrefetched(4)
	goroutines := runtime.NumGoroutine()

	raw.ShutDown()
	for i := range 4 {
		if got := s.Post(); got.StatusCode != http.StatusOK {
			t.Errorf("request %d during the outage got %d, want a token from the stock", i, got.StatusCode)
		}
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
				if err != nil {
					t.Error(err)
				} else if got.StatusCode != http.StatusBadGateway {
					t.Errorf("got %d, want 502", got.StatusCode)
				}
			}
		})
	}
	group.Wait()
	caddytest.Eventually(t, "refills pause", func() bool { return strings.Contains(s.ReadFile("caddy.log"), "prefetching paused") })

	raw.Listen(t, raw.Address)
	if got := s.Post(); got.StatusCode != http.StatusOK {
		t.Errorf("the first request after the outage got %d", got.StatusCode)
	}
	s.WaitPrefetched(4)
	caddytest.Eventually(t, "all is as before", func() bool {
		s.Client.CloseIdleConnections()
		return runtime.NumGoroutine() <= goroutines
	})
}

// TestRefillsMeetFaults has the call that mints ahead meet each fault. Requests
// are served meanwhile as if nothing had happened.
func TestRefillsMeetFaults(t *testing.T) {
	cases := faults()
	var site strings.Builder
	site.WriteString("http://SITE {\n")
	ups := make([]*caddytest.RawUpstream, len(cases))
	for i := range cases {
		ups[i] = caddytest.NewRawUpstream(t)
		ups[i].Exchanges.Set(nil, nil, nil, cases[i].do) // the request, the stock, and the refill
		fmt.Fprintf(&site, "\txai_ephemeral_token /%d %s {\n\t\tendpoint %s\n\t\trate_limit off\n\t\ttimeout 5s\n\t\tprefetch 1\n\t}\n",
			i, caddytest.Key, ups[i].URL)
	}
	site.WriteString("}\n")
	s := caddytest.Start(t, nil, site.String())
	ask := func(i int) {
		start := time.Now()
		got := s.Do(http.MethodPost, fmt.Sprintf("%s/%d", s.URL, i))
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
	s.WaitPrefetched(len(cases))
	for i := range cases {
		ask(i) // from the stock
		caddytest.Eventually(t, "the refill meets the fault", func() bool { return ups[i].Exchanges.Count() == 3 })
		ask(i)
	}
	caddytest.Eventually(t, "the stocks are full again", func() bool { return s.Prefetched() == len(cases) })
}
