// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/placement"
)

// many returns count copies of text, in which N is the number of the copy.
func many(count int, text string) string {
	var all strings.Builder
	for i := range count {
		all.WriteString(strings.ReplaceAll(text, "N", strconv.Itoa(i)))
	}
	return all.String()
}

var (
	manySites     = many(1000, "http://siteN.test:0 {\nroot * /srv/N\nencode\nfile_server\n}\n")
	manyHandles   = many(1000, "handle /appN/* {\nreverse_proxy localhost:1\n}\n")
	manyRedirects = many(1000, "redir /oldN /newN\n")
	manyHeaders   = many(1000, "@hN header X-N yes\nheader @hN X-Answer yes\n")
	manyRewrites  = many(20, "@rN header X-N yes\nroute @rN {\nrewrite * /rN{uri}\n}\n")
)

// TestThousandRoutes has verdicts on configs that are far larger than any site.
func TestThousandRoutes(t *testing.T) {
	const auth = "basic_auth {\n" + account + "\n}\n"
	tests := []struct {
		name, site string
		verdict    verdict
	}{
		{"after sites", manySites + "http://z.test:0 {\nplacement_probe /session\n}", works},
		{"never reached after sites", manySites + "http://z.test:0 {\nhandle {\nrespond no\n}\nplacement_probe /session\n}", never},
		{"after handles", "http://a.test:0 {\n" + manyHandles + "handle {\nplacement_probe /session\n}\n}", works},
		{"never reached after handles", "http://a.test:0 {\n" + manyHandles + "handle {\nrespond no\n}\nplacement_probe /session\n}", never},
		{"without the sign-in after handles", "http://a.test:0 {\n" + manyHandles + "handle {\nplacement_probe /session\n}\nroute {\n" + auth + "}\n}", noSignIn},
		{"hiding a site after redirects", "http://a.test:0 {\n" + manyRedirects + "placement_probe\nfile_server\n}", hides},
		{"after headers for some requests", "http://a.test:0 {\n" + manyHeaders + "placement_probe /session\nfile_server\n}", works},
		{"after rewrites of some requests", "http://a.test:0 {\n" + manyRewrites + "placement_probe /session\nfile_server\n}", works},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			validateProbes(t, adaptProbes(t, test.site), func(ctx caddy.Context, p *probe) {
				_, said := placement.Look(ctx, placement.Handler{Module: p})
				checkVerdict(t, said, test.verdict, nil)
			})
		})
	}
}

// BenchmarkOf looks at the place of one handler in configs of many routes.
func BenchmarkOf(b *testing.B) {
	for _, config := range []struct{ name, site string }{
		{"one route", "http://a.test:0 {\nplacement_probe /session\n}"},
		{"after 1000 sites", manySites + "http://z.test:0 {\nplacement_probe /session\n}"},
		{"after 1000 handles", "http://a.test:0 {\n" + manyHandles + "handle {\nplacement_probe /session\n}\n}"},
		{"after 1000 handles, never reached", "http://a.test:0 {\n" + manyHandles + "handle {\nrespond no\n}\nplacement_probe /session\n}"},
		{"after 1000 redirects", "http://a.test:0 {\n" + manyRedirects + "placement_probe /session\nfile_server\n}"},
		{"after 1000 headers of some requests", "http://a.test:0 {\n" + manyHeaders + "placement_probe /session\nfile_server\n}"},
		{"after 20 rewrites of some requests", "http://a.test:0 {\n" + manyRewrites + "placement_probe /session\nfile_server\n}"},
		{"for any path of any host, never reached", "http://:0 {\n" + manyHandles + "handle {\nrespond no\n}\nplacement_probe\n}"},
		{"for any path of any host", "http://:0 {\n" + manyHandles + manyRedirects + "placement_probe\n}"},
	} {
		b.Run(config.name, func(b *testing.B) {
			validateProbes(b, adaptProbes(b, config.site), func(ctx caddy.Context, p *probe) {
				b.ReportAllocs()
				for b.Loop() {
					placement.Of(ctx, placement.Handler{Module: p})
				}
			})
		})
	}
}
