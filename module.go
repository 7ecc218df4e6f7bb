// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package xaitoken is a Caddy HTTP handler that exchanges an xAI API key for
// ephemeral tokens, so that a browser or a mobile app can talk to xAI's Voice
// Agent without ever holding the key.
package xaitoken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/placement"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/stock"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
)

func init() {
	caddy.RegisterModule(Handler{})
}

const (
	defaultAPIKey       = "{env.XAI_API_KEY}"
	defaultEndpoint     = "https://api.x.ai/v1/realtime/client_secrets"
	defaultExpiresAfter = 5 * time.Minute
	defaultTimeout      = 10 * time.Second
	defaultRetries      = 2

	// defaultTransport is Caddy's, but keeps 256 idle connections in place of 32: it
	// has one host to talk to, and with fewer a burst of requests opens connections
	// that it closes at once. Over HTTP/2, which xAI speaks, one is enough.
	defaultTransport = `{"keep_alive": {"max_idle_conns_per_host": 256}}`

	// maxExpiresAfter is xAI's own limit.
	maxExpiresAfter = time.Hour

	defaultPrefetch = 8 // of a Caddyfile's prefetch without a number
	maxPrefetch     = 1024
)

// Handler answers a request with a new ephemeral token for xAI's Voice Agent.
//
// It calls xAI with an API key that stays on the server and responds with
// xAI's JSON, byte for byte: `{"value": "xai-realtime-client-secret-…",
// "expires_at": 1790000000}`. A token opens one session, so a client asks for a
// new one before each attempt to connect.
//
// Whoever can call the handler spends the owner's money. It refuses requests
// that other websites make a visitor's browser send, and it limits how often
// one client gets a token; who may call it at all is decided by Caddy's
// authentication handlers in front of it.
//
// After a token was issued these placeholders are set:
//
// Placeholder | Description
// ------------|-------------
// `{http.xai_ephemeral_token.value}` | The token. Never log it.
// `{http.xai_ephemeral_token.expires_at}` | When it expires, in Unix seconds.
// `{http.xai_ephemeral_token.id}` | The first 16 hex digits of its SHA-256. Safe to log.
//
// A request that ends without a token is an error with one of the statuses 403,
// 405, 429, 499, 500, 502, 503 and 504, which `handle_errors` can give any
// shape.
type Handler struct {
	// The xAI API key. Placeholders are expanded for every request, so
	// `{env.*}`, `{file.*}`, `{http.vars.*}`, `{http.request.*}` and the outputs
	// of `map` all work, and a key file that is replaced is used without a
	// reload. Surrounding white space is trimmed. A key that consists of global
	// placeholders and is empty when the config is loaded is an error. A literal
	// key works but is warned of, since everybody who can read the config, or
	// ask the admin API for it, can read the key; so does `{$XAI_API_KEY}` in a
	// Caddyfile, which becomes literal. So is a key in the environment of a Caddy
	// that runs with `--environ`, as the service of Caddy's packages does: it
	// prints its environment when it starts. Default: `{env.XAI_API_KEY}`.
	APIKey string `json:"api_key,omitempty"`

	// How long a token can be used to open a session. A session that is open
	// goes on after its token expired. Whole seconds from `1s` to `1h`, which is
	// xAI's limit. Default: `5m`.
	ExpiresAfter caddy.Duration `json:"expires_after,omitempty"`

	// A JSON object to send as xAI's `session` parameter, for example
	// `{"model": "grok-voice-latest"}`. xAI's API reference documents it and its
	// guide calls it unsupported. Caddy keeps numbers in configs as floating point,
	// so integers above 2^53 lose digits. Default: not sent.
	Session json.RawMessage `json:"session,omitempty"`

	// The URL that mints tokens: absolute, `http` or `https`, without user
	// information and fragment. Global placeholders such as `{env.*}` are
	// expanded when the config is loaded. Plain `http` to another machine is
	// warned of, because it shows the key to the network. Default:
	// `https://api.x.ai/v1/realtime/client_secrets`.
	Endpoint string `json:"endpoint,omitempty"`

	// How long a request may take to get its token, retries and the waits
	// between them included. Each attempt has an equal share of the time that is
	// left, at least a tenth, before the next one begins: with the defaults, that is
	// 3.3 seconds for the first. It goes on beside the others, of which each is given
	// up when its share is over, because xAI may be slow, and the connection may be
	// dead. Over HTTP/3, or a transport that is not Caddy's own, the first one is given
	// up as well. When the time is up, the answer is 504. Default: `10s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How often a failed call to xAI is repeated: after connections that fail,
	// break or hang, and after the statuses 408, 429, 500, 502, 503, 504, 520 to 524
	// and 529. The wait before a retry is what xAI asks for in `Retry-After`, or else a
	// random back-off that grows; a wait that does not fit into what is left of
	// the timeout is not begun. 0 turns retries off. Default: 2.
	Retries *int `json:"retries,omitempty"`

	// The methods that get a token: `POST`, `GET` or both. Others are answered
	// with 405, or, with `pass_thru`, handed to the next handler without a
	// token. Default: `["POST"]`.
	Methods []string `json:"methods,omitempty"`

	// The origins, besides the site's own, whose pages may ask for a token, each
	// exactly as a browser sends it in `Origin`: `scheme://host[:port]`, without
	// a path, wildcard or default port. They get CORS headers that allow
	// credentials, and their preflight requests are answered. Every other
	// cross-origin request of a browser gets 403. Default: none.
	TrustedOrigins []string `json:"trusted_origins,omitempty"`

	// How many tokens clients get: all of the limits hold. A client over one of them
	// gets 429 with `Retry-After`. Tokens that were prefetched count when they are
	// handed out, and a request that ends without a token costs nothing; but of
	// requests for which xAI was called in vain, a client has 60 in any minute.
	// Default: 10 tokens in any minute for each signed-in user or, without one, each
	// client address.
	RateLimits RateLimits `json:"rate_limits,omitempty"`

	// Whether there are no limits, to leave them to something in front. Default:
	// false.
	Unlimited bool `json:"unlimited,omitempty"`

	// Where the limits are counted. Default: in this process's memory, which
	// remembers a million tokens for each handler, and forgets the clients seen least
	// recently when there are more; a restart starts afresh.
	LimitStoreRaw json.RawMessage `json:"limit_store,omitempty" caddy:"namespace=http.xai_ephemeral_token.limit_store inline_key=store"`

	// How many tokens to mint ahead for each key, so that a request need not wait
	// for xAI: from 1 to 1024; 0 turns it off. Nothing is minted ahead before a
	// first request with the key got its token. A token waits for half of its
	// lifetime at most, is then thrown away, and is replaced if there was a request
	// within the last lifetime. When a call that mints ahead fails, the next one
	// waits, for a second at first and up to 45, or as long as xAI asks for in
	// `Retry-After`. Tokens are kept for up to 1024 keys; a request with another,
	// like one that finds none, mints its own. Default: 0; `prefetch` without a
	// number in a Caddyfile is 8.
	Prefetch int `json:"prefetch,omitempty"`

	// Whether to call the next handler instead of writing xAI's answer. The
	// placeholders and `Cache-Control: no-store` are set by then, so `respond`,
	// `templates` or `reverse_proxy` can give the token to the client in any
	// form. Requests with methods that are not listed are handed on without them.
	// Default: false.
	PassThru bool `json:"pass_thru,omitempty"`

	// The transport for the calls to xAI, with everything that `reverse_proxy`
	// offers: network proxies, resolvers, client certificates, CA pools. It must
	// speak HTTP, which `fastcgi` does not.
	// Default: `{"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 256}}`.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	client      *xai.Client
	stock       *stock.Keeper[*xai.Token]
	crossOrigin *crossOrigin
	limiter     *limiter // nil if there are no limits
	repetitions *repetitions
	notices     *notices
	release     func() // of what is shared with other handlers
	logger      *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.xai_ephemeral_token",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets the defaults and prepares everything that requests share. It
// sends nothing over the network.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	place := h.checkPlacement(ctx)
	if err := h.provision(ctx); err != nil {
		return err
	}
	if err := h.provisionLimiter(ctx, place); err != nil {
		return err
	}
	h.warnOfAPIKey()
	return nil
}

func (h *Handler) provision(ctx caddy.Context) error {
	for _, raw := range []*json.RawMessage{&h.LimitStoreRaw, &h.TransportRaw} {
		if string(*raw) == "null" {
			*raw = nil // which every other option takes for its default, too
		}
	}
	// Caddy validates afterwards, too late for what is made of the options here.
	if err := h.Validate(); err != nil {
		return err
	}
	h.setDefaults()
	h.repetitions = new(repetitions)
	h.notices = useNotices(ctx)
	h.release = sync.OnceFunc(func() { releaseNotices(ctx) })

	if err := h.checkAPIKey(); err != nil {
		return err
	}
	var err error
	if h.crossOrigin, err = newCrossOrigin(h.TrustedOrigins, h.PassThru); err != nil {
		return err
	}
	if err := metrics.register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	return h.provisionClient(ctx)
}

func (h *Handler) provisionLimiter(ctx caddy.Context, place placement.Place) error {
	if h.Unlimited {
		return nil
	}
	store, err := h.loadLimitStore(ctx)
	if err != nil {
		return err
	}
	if h.limiter, err = newLimiter(place.String(), h.RateLimits, store); err != nil {
		return err
	}
	h.limiter.sawAddress = func(r *http.Request) { h.notices.addressOfProxy(h.logger, r) }
	return nil
}

// checkPlacement tells what would keep visitors from the handler, or lets too many
// in, and returns where the handler is.
func (h *Handler) checkPlacement(ctx caddy.Context) placement.Place {
	place, warnings := placement.Of(ctx, placement.Handler{
		Module: h, Methods: h.Methods, TrustedOrigins: h.TrustedOrigins, PassThru: h.PassThru,
	})
	for _, warning := range warnings {
		h.logger.Warn(warning)
	}
	return place
}

func (h *Handler) setDefaults() {
	if h.APIKey == "" {
		h.APIKey = defaultAPIKey
	}
	if h.ExpiresAfter == 0 {
		h.ExpiresAfter = caddy.Duration(defaultExpiresAfter)
	}
	if h.Endpoint == "" {
		h.Endpoint = defaultEndpoint
	}
	if h.Timeout == 0 {
		h.Timeout = caddy.Duration(defaultTimeout)
	}
	if h.Retries == nil {
		h.Retries = new(defaultRetries)
	}
	if len(h.Methods) == 0 {
		h.Methods = []string{http.MethodPost}
	}
	if len(h.RateLimits) == 0 && !h.Unlimited {
		h.RateLimits = []RateLimit{{Count: defaultRateLimitCount, Window: caddy.Duration(defaultRateLimitWindow)}}
	}
}

func (h *Handler) provisionClient(ctx caddy.Context) error {
	endpoint, err := h.expandEndpoint()
	if err != nil {
		return err
	}
	if exposesKey(endpoint) {
		h.logger.Warn("the endpoint is plain http on another machine: the API key crosses the network unencrypted",
			zap.String("endpoint", h.Endpoint))
	}
	transport, err := h.loadTransport(ctx)
	if err != nil {
		return err
	}
	return h.connect(endpoint, transport)
}

func (h *Handler) expandEndpoint() (string, error) {
	endpoint, err := caddy.NewReplacer().ReplaceOrErr(h.Endpoint, true, true)
	if err != nil {
		return "", fmt.Errorf("endpoint: %w", err)
	}
	return endpoint, checkEndpoint(endpoint)
}

// connect makes the client that calls xAI, and the stock that it fills.
func (h *Handler) connect(endpoint string, transport http.RoundTripper) error {
	var err error
	h.client, err = xai.NewClient(&xai.Config{
		Endpoint:     endpoint,
		ExpiresAfter: time.Duration(h.ExpiresAfter),
		Session:      h.Session,
		Timeout:      time.Duration(h.Timeout),
		Retries:      *h.Retries,
		Transport:    transport,
		Requests:     metrics.upstreamRequests,
		Duration:     metrics.upstreamDuration,
		Logger:       h.logger,
	})
	if err != nil {
		return err
	}
	h.stock = stock.NewKeeper(&stock.Config[*xai.Token]{
		Size:     h.Prefetch,
		Lifetime: time.Duration(h.ExpiresAfter),
		Mint: func(ctx context.Context, key string) (*xai.Token, error) {
			return h.client.Mint(ctx, key, uuid.NewString(), 0)
		},
		Paused:    h.logPause,
		Kept:      metrics.prefetchedTokens,
		Discarded: metrics.discarded,
	})
	return nil
}

func (h *Handler) logPause(failure error, wait time.Duration) {
	fields := []zap.Field{zap.Error(failure), zap.Duration("wait", wait)}
	if failed, ok := errors.AsType[*xai.Error](failure); ok {
		fields = append(fields, zap.Inline(failed))
	}
	h.logger.Warn("prefetching paused", fields...)
}

func (h *Handler) loadTransport(ctx caddy.Context) (http.RoundTripper, error) {
	var module any
	var err error
	if len(h.TransportRaw) == 0 {
		module, err = ctx.LoadModuleByID("http.reverse_proxy.transport.http", json.RawMessage(defaultTransport))
	} else {
		module, err = ctx.LoadModule(h, "TransportRaw")
	}
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return asTransport(module)
}

// Cleanup lets go of the tokens that were minted ahead and of the connections to
// xAI. Requests that are still being served end as usual, as Caddy gives them time
// to.
func (h *Handler) Cleanup() error {
	if h.client != nil {
		h.stock.Close()
		h.client.Retire()
	}
	if h.release != nil {
		h.release()
	}
	if h.limiter != nil {
		return h.limiter.release()
	}
	return nil
}

// MarshalLogObject keeps a literal API key out of Caddy's trace log, which
// prints each handler that a request passes.
func (h *Handler) MarshalLogObject(encoder zapcore.ObjectEncoder) error {
	type options Handler // without this method
	shown := options(*h)
	shown.APIKey = h.shownAPIKey()
	return encoder.AddReflected("options", &shown)
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
	_ zapcore.ObjectMarshaler     = (*Handler)(nil)
)
