// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// preflightMaxAge is how long, in seconds, a browser may remember the answer to
// a preflight request: two hours, the most that Chrome keeps.
const preflightMaxAge = "7200"

// errCrossOrigin is the failure of a request that another website made a
// visitor's browser send.
var errCrossOrigin = errors.New("cross-origin request refused")

// errSpeculative is the failure of a request that a browser makes before its user
// asks for anything. A token for it would be wasted, and another website can cause
// it.
var errSpeculative = errors.New("speculative request refused")

// crossOrigin decides which websites' pages may ask for a token.
type crossOrigin struct {
	protection *http.CrossOriginProtection
	trusted    []string

	// admitNavigation lets somebody in who follows a link from elsewhere, for
	// handlers whose answer is a page.
	admitNavigation bool
}

func newCrossOrigin(trusted []string, admitNavigation bool) (*crossOrigin, error) {
	protection := http.NewCrossOriginProtection()
	for i, origin := range trusted {
		if err := checkOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted_origins: %w", err)
		}
		if slices.Contains(trusted[:i], origin) {
			return nil, fmt.Errorf("trusted_origins: %s is given twice", origin)
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trusted_origins: %w", err)
		}
	}
	return &crossOrigin{protection: protection, trusted: trusted, admitNavigation: admitNavigation}, nil
}

// isHost matches what is a host, perhaps with its port, and lacks a scheme.
var isHost = regexp.MustCompile(`(?i)^([a-z0-9-]+\.)*[a-z0-9-]+(:\d+)?$`)

// checkOrigin refuses origins that no browser sends, which would never match,
// and user information. AddTrustedOrigin lets both pass.
func checkOrigin(origin string) error {
	if strings.Contains(origin, "*") {
		return fmt.Errorf("%q has a wildcard; origins are compared exactly, so list each one", origin)
	}
	if strings.Contains(origin, "{") {
		return fmt.Errorf("%q has a placeholder; origins are not expanded, but a Caddyfile can use {$VARIABLE}", origin)
	}
	if strings.ContainsFunc(origin, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf("%q must be in punycode, as browsers send it", origin)
	}
	if strings.Contains(origin, ",") {
		return fmt.Errorf("%q has a comma; write spaces between origins, and nothing else", origin)
	}
	if isHost.MatchString(origin) {
		return fmt.Errorf("%q has no scheme; write %q", origin, "https://"+strings.ToLower(origin))
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil:
		return nil //nolint:nilerr // AddTrustedOrigin reports it
	case u.User != nil:
		return errors.New("an origin has no user information; write scheme://host[:port]")
	case strings.ContainsAny(origin, "?#"):
		return fmt.Errorf("%q has a query or a fragment; write scheme://host[:port]", origin)
	case strings.Contains(origin, "%"):
		return fmt.Errorf("%q must be in punycode, not in percent encoding, as browsers send it", origin)
	case strings.HasSuffix(origin, ":"):
		return fmt.Errorf("%q has an empty port", origin)
	case u.Host != "" && u.Hostname() == "":
		return fmt.Errorf("%q has no host", origin)
	case !strings.HasPrefix(u.Host, "[") && strings.ContainsAny(u.Host, "<>[]"): // which url.Parse lets pass
		return fmt.Errorf("%q has a host that no browser sends", origin)
	}
	port := u.Port()
	if number, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || strconv.FormatUint(number, 10) != port) {
		return fmt.Errorf("%q has a port that no browser sends", origin)
	}
	canonical := strings.ToLower(origin)
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		canonical = strings.TrimSuffix(canonical, ":"+port)
	}
	if canonical != origin {
		return fmt.Errorf("no browser sends %q; write %q", origin, canonical)
	}
	return nil
}

func (c *crossOrigin) trusts(origin string) bool {
	return slices.Contains(c.trusted, origin)
}

// setHeaders lets the page of a trusted origin read the answer, be it a token or
// an error.
func (c *crossOrigin) setHeaders(header http.Header, r *http.Request) {
	if len(c.trusted) == 0 {
		return
	}
	header.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); c.trusts(origin) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
		header.Set("Access-Control-Expose-Headers", "Retry-After, Date")
	}
}

// check refuses a request that a page of an untrusted origin made, and one that
// nobody has asked for yet.
func (c *crossOrigin) check(r *http.Request) error {
	if isSpeculative(r) {
		return errSpeculative
	}
	if c.admitNavigation && followsLink(r) {
		return nil
	}
	// CrossOriginProtection lets every GET pass, because a GET should change
	// nothing. Here it costs money, so all methods are held to the rule for POST.
	if c.protection.Check(&http.Request{Method: http.MethodPost, Host: r.Host, Header: r.Header}) != nil ||
		c.isReferredByStranger(r) {
		return errCrossOrigin
	}
	return nil
}

// isSpeculative reports whether a browser asks for something that its user may want
// later. Any page can have it do so, and it then says that nobody's page did.
func isSpeculative(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose"} {
		for _, purpose := range r.Header.Values(name) {
			purpose = strings.ToLower(purpose)
			if strings.Contains(purpose, "prefetch") || strings.Contains(purpose, "prerender") {
				return true
			}
		}
	}
	return false
}

// isReferredByStranger reports whether a page elsewhere led to this GET. To plain
// http, browsers send neither Sec-Fetch-Site nor, with a GET, Origin, and the
// Referer is all there is to tell an image of another site by.
func (c *crossOrigin) isReferredByStranger(r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "" {
		return false
	}
	referer := r.Header.Get("Referer")
	if referer == "" {
		return false
	}
	u, err := url.Parse(referer)
	return err != nil || !strings.EqualFold(u.Host, r.Host) && !c.trusts(u.Scheme+"://"+u.Host)
}

// followsLink reports whether r opens a page in a window of its own. The method
// matters: a form that another site posts says "navigate" too.
func followsLink(r *http.Request) bool {
	return r.Method == http.MethodGet &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document"
}

// isPreflight reports whether r is a browser's question whether a page of
// another origin may make a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight sets the headers that permit the request which r asks about.
func (c *crossOrigin) answerPreflight(header http.Header, r *http.Request, methods []string) error {
	if !c.trusts(r.Header.Get("Origin")) {
		return errCrossOrigin
	}
	header.Add("Vary", "Access-Control-Request-Headers")
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if requested := r.Header.Values("Access-Control-Request-Headers"); len(requested) > 0 {
		header.Set("Access-Control-Allow-Headers", strings.Join(requested, ", "))
	}
	header.Set("Access-Control-Max-Age", preflightMaxAge)
	return nil
}
