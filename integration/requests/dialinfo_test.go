// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

func init() {
	caddy.RegisterModule(dialInfo{})
	httpcaddyfile.RegisterHandlerDirective("test_dial_info", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		var handler dialInfo
		if !h.AllArgs(&handler.Address) {
			return nil, h.ArgErr()
		}
		return &handler, nil
	})
}

// dialInfo leaves on the request what a reverse proxy may leave there: where it
// connected to. Whether forward_auth does depends on the version of Caddy.
type dialInfo struct {
	Address string `json:"address"`
}

func (dialInfo) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_dial_info", New: func() caddy.Module { return new(dialInfo) }}
}

func (d *dialInfo) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	info := reverseproxy.DialInfo{Network: "tcp", Address: d.Address}
	ctx := context.WithValue(r.Context(), caddy.CtxKey("reverse_proxy.dial_info"), info)
	if got, _ := reverseproxy.GetDialInfo(ctx); got != info {
		return errors.New("Caddy keeps it elsewhere: this test proves nothing any more")
	}
	return next.ServeHTTP(w, r.WithContext(ctx))
}

func TestDialInfoOfOthersDoesNotSteer(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	route {
		test_dial_info SITE2
		xai_ephemeral_token `+caddytest.Key+` {
			endpoint UPSTREAM
		}
	}
}
http://SITE2 {
	respond `+"`"+`{"value": "not from xAI", "expires_at": 1790000000}`+"`"+`
}
`)
	if token := caddytest.DecodeToken(t, s.Post()); !strings.HasPrefix(token.Value, "xai-realtime-client-secret-") {
		t.Errorf("got the token %q", token.Value)
	}
	if n := len(up.Requests()); n != 1 {
		t.Errorf("xAI was called %d times, want 1", n)
	}
}
