// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
)

const (
	cacheControl = "Cache-Control"
	allowOrigin  = "Access-Control-Allow-Origin"
)

// headersAfter returns what deferred header directives make of a header, of which
// the innermost comes first.
func headersAfter(deferred []*headers.RespHeaderOps, header http.Header) http.Header {
	for _, ops := range slices.Backward(deferred) {
		ops.ApplyTo(header, caddy.NewEmptyReplacer())
	}
	return header
}

// cacheControlAfter returns the Cache-Control of an answer if it lets a token be
// kept.
func cacheControlAfter(deferred []*headers.RespHeaderOps) (value string, isLost bool) {
	header := headersAfter(deferred, http.Header{cacheControl: {"no-store"}})
	value = strings.Join(header.Values(cacheControl), ", ")
	return value, !hasPlaceholder(value) && !strings.Contains(strings.ToLower(value), "no-store")
}

// allowOriginAfter returns the Access-Control-Allow-Origin of an answer to a trusted
// origin if browsers would refuse it.
func allowOriginAfter(deferred []*headers.RespHeaderOps, origins []string) (value string, isLost bool) {
	for _, origin := range origins {
		header := headersAfter(deferred, http.Header{allowOrigin: {origin}})
		values := header.Values(allowOrigin)
		value = strings.Join(values, ", ")
		if !hasPlaceholder(value) && !slices.Equal(values, []string{origin}) {
			return value, true
		}
	}
	return "", false
}
