// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/fastcgi"
)

// Validate checks every option that is set. Zero values stand for the defaults.
func (h *Handler) Validate() error {
	if err := checkPlaceholders("api_key", h.APIKey); err != nil {
		return err
	}
	if d := time.Duration(h.ExpiresAfter); d != 0 {
		if d < time.Second || d > maxExpiresAfter || d%time.Second != 0 {
			return fmt.Errorf("expires_after: %s is out of range; it takes whole seconds from 1s to 1h%s", d, aboutNanoseconds(d))
		}
	}
	if err := checkSession(h.Session); err != nil {
		return err
	}
	// Placeholders may be set only where the config will run, which need not be
	// where it is adapted; Provision checks what they expand to.
	if h.Endpoint != "" && !strings.Contains(h.Endpoint, "{") {
		if err := checkEndpoint(h.Endpoint); err != nil {
			return err
		}
	}
	if h.Timeout < 0 {
		return fmt.Errorf("timeout: %s is out of range; it must be more than zero", time.Duration(h.Timeout))
	}
	if d := time.Duration(h.Timeout); areNanoseconds(d) {
		return fmt.Errorf("timeout: %s is too short%s", d, aboutNanoseconds(d))
	}
	if h.Retries != nil && *h.Retries < 0 {
		return fmt.Errorf("retries: %d is out of range; it must be 0 or more", *h.Retries)
	}
	if err := checkMethods(h.Methods); err != nil {
		return err
	}
	if _, err := newCrossOrigin(h.TrustedOrigins, h.PassThru); err != nil {
		return err
	}
	if err := checkPrefetch(h.Prefetch); err != nil {
		return err
	}
	return h.checkRateLimits()
}

// checkPlaceholders refuses text that would have a part of a placeholder in it
// once the others are expanded, and the request's body, which is not read. The
// errors do not quote the text: it can be a key.
func checkPlaceholders(option, text string) error {
	if strings.Contains(text, "{http.request.body") {
		return fmt.Errorf("%s: {http.request.body} cannot be used, because the body of a request is never looked at", option)
	}
	if strings.ContainsAny(caddy.NewEmptyReplacer().ReplaceAll(text, ""), "{}") {
		return fmt.Errorf("%s: a brace is not part of a placeholder; each placeholder has both of its braces, and none has another inside", option)
	}
	return nil
}

// allowedMethods are those that can be listed in the methods option.
var allowedMethods = []string{http.MethodPost, http.MethodGet}

func checkMethods(methods []string) error {
	for i, method := range methods {
		if alone, ok := strings.CutSuffix(method, ","); ok {
			return fmt.Errorf("methods: %q ends with a comma; write %q, with spaces between methods", method, alone)
		}
		if !slices.Contains(allowedMethods, method) {
			return fmt.Errorf("methods: %q is not supported; it takes %s", method, strings.Join(allowedMethods, " and "))
		}
		if slices.Contains(methods[:i], method) {
			return fmt.Errorf("methods: %s is given twice", method)
		}
	}
	return nil
}

// checkEndpoint checks an endpoint whose placeholders have been expanded. Its
// errors do not quote it, because it may hold a password where none belongs.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		if parsing, ok := errors.AsType[*url.Error](err); ok {
			err = parsing.Err // without the URL
		}
		return fmt.Errorf("endpoint: not a URL: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("endpoint: not an absolute http or https URL")
	case u.Hostname() == "":
		return errors.New("endpoint: the URL has no host")
	case u.User != nil:
		return errors.New("endpoint: the URL must not have user information")
	case strings.Contains(endpoint, "#"):
		return errors.New("endpoint: the URL must not have a fragment")
	}
	if port := u.Port(); port != "" {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return fmt.Errorf("endpoint: the port %s is out of range", port)
		}
	}
	return nil
}

// exposesKey reports whether a call to the endpoint, a valid one, would show the
// key to a network.
func exposesKey(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme == "https" {
		return false
	}
	host := u.Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}

// checkSession accepts nothing or a JSON object.
func checkSession(session json.RawMessage) error {
	if len(session) == 0 {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(session, &object); err != nil || object == nil {
		return errors.New("session: not a JSON object")
	}
	return nil
}

// checkNumbers refuses JSON with numbers that would not reach xAI as they are
// written: Caddy re-encodes configs, with floating-point numbers.
func checkNumbers(text string) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("session: not a JSON object: %w", err)
		}
		if number, ok := token.(json.Number); ok && !survivesFloat(number) {
			return fmt.Errorf("session: Caddy cannot keep the number %s exactly", number)
		}
	}
}

func survivesFloat(number json.Number) bool {
	const maxExact = 1 << 53
	if integer, err := number.Int64(); err == nil {
		return integer >= -maxExact && integer <= maxExact
	}
	_, err := number.Float64()
	return err == nil && strings.ContainsAny(number.String(), ".eE")
}

func checkPrefetch(count int) error {
	if count < 0 || count > maxPrefetch {
		return fmt.Errorf("prefetch: %d is out of range; it must be from 0 to %d", count, maxPrefetch)
	}
	return nil
}

// asTransport refuses a transport module that cannot make a call over HTTP.
func asTransport(module any) (http.RoundTripper, error) {
	transport, ok := module.(http.RoundTripper)
	if _, isFastCGI := module.(*fastcgi.Transport); isFastCGI || !ok {
		return nil, fmt.Errorf("transport: module %T does not speak HTTP", module)
	}
	return transport, nil
}

// areNanoseconds reports whether a duration is so short that it must have been a
// bare number in JSON.
func areNanoseconds(d time.Duration) bool {
	return d > 0 && d < time.Microsecond
}

// aboutNanoseconds is the advice for such a duration.
func aboutNanoseconds(d time.Duration) string {
	if !areNanoseconds(d) {
		return ""
	}
	return fmt.Sprintf("; a number without a unit is in nanoseconds, so write \"%ds\" or \"%[1]dm\"", d)
}
