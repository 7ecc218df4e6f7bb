// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
)

const placeholderPrefix = "http.xai_ephemeral_token."

// issuedToken is a token that a request gets.
type issuedToken struct {
	*xai.Token

	prefetched bool
}

// ServeHTTP answers with a token, or sets its placeholders and calls next.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.PassThru && !slices.Contains(h.Methods, intendedMethod(r)) {
		return next.ServeHTTP(w, r)
	}
	w.Header().Set("Cache-Control", "no-store")
	h.crossOrigin.setHeaders(w.Header(), r)

	if isPreflight(r) {
		discardBody(w, r)()
		if err := h.crossOrigin.answerPreflight(w.Header(), r, h.Methods); err != nil {
			return h.fail(w.Header(), r, err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	issued, err := h.issue(w, r)
	if err == nil && h.PassThru {
		return next.ServeHTTP(w, r) // to whom the body belongs
	}
	discardBody(w, r)()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(issued.Body) // fails only for a client that is gone
	return nil
}

// intendedMethod returns the method that r uses, or that it asks about.
func intendedMethod(r *http.Request) string {
	if isPreflight(r) {
		return r.Header.Get("Access-Control-Request-Method")
	}
	return r.Method
}

// issue takes a request through all that stands between it and a token, and
// records how that ended. The error is ready to be returned to Caddy.
func (h *Handler) issue(w http.ResponseWriter, r *http.Request) (issuedToken, error) {
	start := time.Now()
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)

	issued, err := h.admit(w, r, repl)
	if err != nil {
		return issuedToken{}, h.fail(w.Header(), r, err)
	}
	repl.Set(placeholderPrefix+"value", issued.Value)
	repl.Set(placeholderPrefix+"expires_at", issued.ExpiresAt)
	repl.Set(placeholderPrefix+"id", issued.ID)
	source := sourceMinted
	if issued.prefetched {
		source = sourcePrefetched
	}
	metrics.issued.WithLabelValues(source).Inc()
	h.logger.Info("issued token", append(whoFields(r, repl),
		zap.String("token_id", issued.ID),
		zap.Int64("expires_at", issued.ExpiresAt),
		zap.Bool("prefetched", issued.prefetched),
		zap.Duration("duration", time.Since(start)))...)
	return issued, nil
}

// admit checks whether the request may have a token, and gets one.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, repl *caddy.Replacer) (issuedToken, error) {
	if !slices.Contains(h.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(h.Methods, ", "))
		return issuedToken{}, errMethod
	}
	if err := h.crossOrigin.check(r); err != nil {
		return issuedToken{}, err
	}
	if h.limiter == nil {
		issued, _, err := h.obtain(w, r, repl)
		return issued, err
	}
	admission, err := h.limiter.admit(r, repl)
	if err != nil {
		return issuedToken{}, err
	}
	issued, called, err := h.obtain(w, r, repl)
	if err != nil {
		admission.fail(called)
	}
	return issued, err
}

// obtain resolves the key and gets a token for it: one that was minted ahead, or
// else a new one, for which xAI was called.
func (h *Handler) obtain(w http.ResponseWriter, r *http.Request, repl *caddy.Replacer) (issued issuedToken, called bool, err error) {
	key, err := h.resolveKey(repl)
	if err != nil {
		return issuedToken{}, false, err
	}
	token, prefetched := h.stock.Take(key)
	if !prefetched {
		requestID, _ := repl.GetString("http.request.uuid")
		if !h.PassThru {
			// Without that nobody would notice that the client has left. With pass_thru
			// the body belongs to the next handler.
			defer discardBody(w, r)()
		}
		if token, err = h.client.Mint(r.Context(), key, requestID, *h.Retries); err != nil {
			failed, _ := errors.AsType[*xai.Error](err)
			return issuedToken{}, failed.Called, err
		}
	}
	if r.Context().Err() != nil {
		h.stock.PutBack(key, token)
		return issuedToken{}, !prefetched, errClientGone
	}
	h.stock.Replenish(key)
	return issuedToken{token, prefetched}, !prefetched, nil
}

// fail records a request that ends without a token, and returns the error that
// makes Caddy answer it.
func (h *Handler) fail(header http.Header, r *http.Request, err error) error {
	cause := err
	var details zapcore.ObjectMarshaler
	switch err := err.(type) { //nolint:errorlint // they are never wrapped
	case *xai.Error:
		cause, details = err.Failure, err
		if errors.Is(cause, xai.ErrCanceled) {
			cause = errClientGone // nobody else ends a request's context
		}
		if errors.Is(cause, xai.ErrRateLimited) && err.RetryAfter > 0 {
			setRetryAfter(header, err.RetryAfter)
		}
	case *limitedError:
		cause, details = errRateLimited, err
		setRetryAfter(header, err.wait)
	case *unavailableError:
		cause, details = errLimitsUnavailable, err
		setRetryAfter(header, storeRetryAfter)
	}
	if errors.Is(cause, errCrossOrigin) {
		h.notices.refusedOrigin(h.logger, r)
	}
	outcome := failures[cause]
	metrics.errors.WithLabelValues(outcome.reason).Inc()
	h.logFailure(r, cause, outcome.status, details)
	return caddyhttp.Error(outcome.status, cause)
}

// logFailure logs at error level what is our fault or xAI's, once a second, and at
// debug level what strangers can cause at will: they cannot fill a disk.
func (h *Handler) logFailure(r *http.Request, cause error, status int, details zapcore.ObjectMarshaler) {
	level, suppressed := zapcore.DebugLevel, 0
	// A store tells by itself, and less often, that it does not work.
	if status >= http.StatusInternalServerError && !errors.Is(cause, errLimitsUnavailable) {
		var isRepeated bool
		if suppressed, isRepeated = h.repetitions.add(cause); isRepeated {
			return
		}
		level = zapcore.ErrorLevel
	}
	entry := h.logger.Check(level, cause.Error())
	if entry == nil {
		return
	}
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	fields := append(whoFields(r, repl), zap.Int("status", status))
	if suppressed > 0 {
		fields = append(fields, zap.Int("suppressed", suppressed))
	}
	switch {
	case details != nil:
		fields = append(fields, zap.Inline(details))
	case errors.Is(cause, errCrossOrigin):
		fields = append(fields, zap.String("origin", r.Header.Get("Origin")))
	case errors.Is(cause, errNoAPIKey):
		fields = append(fields, zap.String("api_key", h.shownAPIKey()))
	}
	entry.Write(fields...)
}

// whoFields says who asked for a token.
func whoFields(r *http.Request, repl *caddy.Replacer) []zap.Field {
	userID, _ := repl.GetString("http.auth.user.id")
	fields := make([]zap.Field, 0, 6) // with room for what else there is to say
	return append(fields, zap.String("user_id", userID), zap.String("client_ip", clientIP(r)))
}

func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

func setRetryAfter(header http.Header, wait time.Duration) {
	header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
}
