// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

const fuzzOrigin = "https://app.example.com"

// fuzzRequestSite has a page with pass_thru beside the plain handler, and a next
// handler that says whether it was given a token.
const fuzzRequestSite = `
	xai_ephemeral_token /session ` + fuzzKey + ` {
		trusted_origins ` + fuzzOrigin + ` capacitor://localhost
		rate_limit off
	}
	xai_ephemeral_token /page ` + fuzzKey + ` {
		methods GET POST
		trusted_origins ` + fuzzOrigin + `
		rate_limit off
		pass_thru
	}
	respond /page "next {http.xai_ephemeral_token.value}"
`

// browserOrigin is what a browser can send as an Origin.
var browserOrigin = regexp.MustCompile(`^(null|[a-z][a-z0-9+.-]*://[^\s/?#@%\\]+)$`)

// countingUpstream answers every call alike, and counts them.
type countingUpstream struct {
	fixedUpstream

	calls int
}

func (u *countingUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.calls++
	return u.fixedUpstream.RoundTrip(r)
}

// FuzzRequestHeaders sends a real Caddy requests with any headers. Whatever they
// are, the page of an origin that nobody trusts gets no token and may read no
// answer, and an app, which sends no such headers, gets one.
func FuzzRequestHeaders(f *testing.F) {
	for _, seed := range []string{
		"", "Origin: " + fuzzOrigin, "Origin: capacitor://localhost", "Origin: null", "Origin: https://fuzz", "Origin: https://fuzz:443",
		"Origin: https://evil.example.com\r\nOrigin: " + fuzzOrigin, "Origin: " + fuzzOrigin + "\r\nOrigin: https://evil.example.com",
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site", "Sec-Fetch-Site: none", "Sec-Fetch-Site: same-site",
		"Sec-Fetch-Site: Same-Origin\r\nOrigin: https://fuzz", "Sec-Fetch-Site: cross-site\r\nOrigin: " + fuzzOrigin + ".evil.example.com",
		"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document",
		"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\nOrigin: https://evil.example.com",
		"Origin: " + fuzzOrigin + "\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: a\r\nAccess-Control-Request-Headers: b",
		"Origin: https://evil.example.com\r\nAccess-Control-Request-Method: POST", "Origin: HTTPS://APP.EXAMPLE.COM", "Origin: " + fuzzOrigin + ":443",
		"Sec-Purpose: prefetch\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document", "Purpose: prefetch",
		"Sec-Purpose: prefetch;prerender\r\nSec-Fetch-Site: same-origin", "Sec-Purpose: Prefetch\r\nOrigin: " + fuzzOrigin,
		"Referer: http://evil.example.com/", "Referer: http://fuzz/page", "Referer: http://fuzz:81/", "Referer: " + fuzzOrigin + "/page", "Referer: %",
		"Referer: http://evil.example.com/\r\nSec-Fetch-Site: same-origin", "Referer: http://evil.example.com/\r\nOrigin: http://fuzz",
		"Vary: x\r\nX-Forwarded-Host: app.example.com\r\nForwarded: host=fuzz", "Content-Length: 3\r\nExpect: 100-continue",
	} {
		for _, method := range []string{"POST", "GET", "OPTIONS"} {
			f.Add(method, seed, false)
			f.Add(method, seed, true)
		}
	}
	server := benchmarkServers(f, map[string]string{"fuzz": fuzzRequestSite})["fuzz"]
	xai := new(countingUpstream)
	for _, handler := range handlersIn(server.(*caddyhttp.Server).Routes) {
		callInstead(f, handler, xai)
	}
	f.Fuzz(func(t *testing.T, method, headers string, page bool) {
		path, methods, trusted := "/session", []string{"POST"}, []string{fuzzOrigin, "capacitor://localhost"}
		if page {
			path, methods, trusted = "/page", []string{"GET", "POST"}, []string{fuzzOrigin}
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + path + " HTTP/1.1\r\nHost: fuzz\r\n" + headers + "\r\n\r\n")))
		if err != nil || r.URL.Path != path || r.Host != "fuzz" || len(method) > 32 {
			t.Skip() // it does not reach a handler, or another one; Caddy refuses long methods
		}
		if origin := r.Header.Get("Origin"); origin != "" && !browserOrigin.MatchString(origin) {
			t.Skip() // whoever makes up such an origin could as well send none
		}
		r.Body, r.RemoteAddr = http.NoBody, "192.0.2.1:1234"
		xai.calls = 0
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r.WithContext(t.Context()))

		want := expect(r, page, methods, trusted)
		got := strings.Contains(w.Body.String(), tokenPrefix)
		if w.Code != want.status || got != want.token || (xai.calls == 1) != want.token || xai.calls > 1 {
			t.Errorf("answered %d after %d calls, with a token: %t; want %+v", w.Code, xai.calls, got, want)
		}
		checkCORS(t, w.Header(), r, want, trusted)
	})
}

type expected struct {
	status         int
	token          bool
	ours, readable bool // whether the handler has a say, and whether the page may read the answer
}

// expect says what a request must get, by the rules that SECURITY.md and the
// README state.
func expect(r *http.Request, page bool, methods, trusted []string) expected {
	origin, site, asked := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Access-Control-Request-Method")
	trusts := slices.Contains(trusted, origin)
	preflight := r.Method == http.MethodOptions && origin != "" && asked != ""
	intended := r.Method
	if preflight {
		intended = asked
	}
	listed := slices.Contains(methods, intended)
	switch {
	case page && !listed:
		return expected{status: 200} // the next handler's
	case preflight && trusts:
		return expected{status: 204, ours: true, readable: true}
	case preflight:
		return expected{status: 403, ours: true}
	case !listed:
		return expected{status: 405, ours: true, readable: trusts}
	case speculative.MatchString(strings.Join(append(r.Header.Values("Sec-Purpose"), r.Header.Values("Purpose")...), " ")):
		return expected{status: 403, ours: true, readable: trusts}
	case page && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document",
		trusts, site == "same-origin", site == "none":
		return expected{status: 200, token: true, ours: true, readable: trusts}
	case site != "", r.Method == http.MethodGet && origin == "" && !refersHere(r.Header.Get("Referer"), trusted):
		return expected{status: 403, ours: true}
	case origin == "" || strings.HasSuffix(origin, "://fuzz"):
		return expected{status: 200, token: true, ours: true}
	default:
		return expected{status: 403, ours: true}
	}
}

// speculative is what browsers say of a request that nobody may ever need.
var speculative = regexp.MustCompile(`(?i)prefetch|prerender`)

// refersHere reports whether a Referer is one of the site's own pages or of a
// trusted origin's, or missing.
func refersHere(referer string, trusted []string) bool {
	page, err := url.Parse(referer)
	return referer == "" || err == nil &&
		(strings.EqualFold(page.Host, "fuzz") || slices.Contains(trusted, page.Scheme+"://"+page.Host))
}

func checkCORS(t *testing.T, header http.Header, r *http.Request, want expected, trusted []string) {
	t.Helper()
	allowed := header.Values("Access-Control-Allow-Origin")
	if want.readable {
		if len(allowed) != 1 || !slices.Contains(trusted, allowed[0]) || allowed[0] != r.Header.Get("Origin") || header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("a trusted origin may not read the answer: %v", header)
		}
	} else {
		for name := range header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("an origin that is not trusted got the header %s", name)
			}
		}
	}
	if want.ours && (!slices.Contains(header.Values("Vary"), "Origin") || header.Get("Cache-Control") != "no-store") {
		t.Errorf("caches are not told about the answer: %v", header)
	}
}

// FuzzClientAddress has a proxy tell a real Caddy two addresses, and checks that
// they share a rate limit if, and only if, they are one client's.
func FuzzClientAddress(f *testing.F) {
	for _, seed := range [][2]string{
		{"192.0.2.1", "192.0.2.1"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "::ffff:192.0.2.1"}, {"192.0.2.1", "::ffff:c000:201"},
		{"192.0.2.1", "::192.0.2.1"}, {"2001:db8::1", "2001:db8::ffff:1"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"::1", "::2"},
		{"2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"}, {"fe80::1%eth0", "fe80::2%eth1"}, {"::ffff:192.0.2.1%x", "192.0.2.1"},
		{"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"}, {"10.0.0.1, 192.0.2.1", "192.0.2.1"}, {"192.0.2.1:80", "192.0.2.1"}, {"unknown", "_x"},
		{"[2001:db8::1]:80", "2001:db8::1"}, {"", ""}, {"0.0.0.0", "::"}, {"192.0.2.01", "192.0.2.1"}, {"::1%", "::1"},
	} {
		f.Add(seed[0], seed[1])
	}
	server := benchmarkServers(f, map[string]string{
		"fuzz": "xai_ephemeral_token /session " + fuzzKey + " {\n\trate_limit 1 24h\n}",
	})["fuzz"]
	handler := handlersIn(server.(*caddyhttp.Server).Routes)[0]
	callInstead(f, handler, fixedUpstream{})

	f.Fuzz(func(t *testing.T, first, second string) {
		checkNetwork(t, first, second)
		fresh := *handler.limiter
		fresh.store = limit.NewMemory()
		handler.limiter = &fresh
		ask := func(forwarded string) (status int) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://fuzz/session", nil)
			r.RemoteAddr = "10.0.0.1:1234" // a trusted proxy
			r.Header.Set("X-Forwarded-For", forwarded)
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			_, _ = io.Copy(io.Discard, w.Body)
			return w.Code
		}
		if status := ask(first); status != http.StatusOK {
			t.Fatalf("the first request got %d", status)
		}
		status := ask(second)
		firstID, firstIsIP := clientPlainly(first)
		secondID, secondIsIP := clientPlainly(second)
		switch {
		case first == second && status != http.StatusTooManyRequests:
			t.Errorf("%q got %d for its second request", first, status)
		case firstIsIP && secondIsIP && (firstID == secondID) != (status == http.StatusTooManyRequests):
			t.Errorf("%q after %q got %d", second, first, status)
		case status != http.StatusOK && status != http.StatusTooManyRequests:
			t.Errorf("%q got %d", second, status)
		}
	})
}

// checkNetwork checks network alone, also for text that no proxy sends.
func checkNetwork(t *testing.T, first, second string) {
	t.Helper()
	firstID, firstIsIP := clientPlainly(first)
	secondID, secondIsIP := clientPlainly(second)
	if !firstIsIP && network(first) != first {
		t.Errorf("%q, no address, counts as %q", first, network(first))
	}
	if firstIsIP && secondIsIP && (firstID == secondID) != (network(first) == network(second)) {
		t.Errorf("%q counts as %q, and %q as %q", first, network(first), second, network(second))
	}
	if got := network(network(first)); got != network(first) {
		t.Errorf("%q counts as %q, which counts as %q", first, network(first), got)
	}
}

// clientPlainly returns the bytes by which an address counts: the 4 of IPv4, in
// whatever form, or the first 8 of IPv6.
func clientPlainly(address string) (id string, isIP bool) {
	host, zone, zoned := strings.Cut(address, "%")
	if zoned && (zone == "" || !strings.Contains(host, ":")) {
		return address, false
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return address, false
	}
	if ip4 := ip.To4(); ip4 != nil {
		return string(ip4), true
	}
	return string(ip[:8]), true
}
