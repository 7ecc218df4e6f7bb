// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/stock"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestPrefetchWhenXAIFails(t *testing.T) {
	// failed answers like a call that takes its time. Requests do not retry after
	// 501, and it is not remembered, so each of them is one call.
	failed := func(status int, header ...string) sandbox.Fault {
		return func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
			time.Sleep(latency)
			sandbox.Status(status, header...)(w, r, mint)
		}
	}

	t.Run("backs off while it is down, and recovers", func(t *testing.T) {
		inFakeTime(t, 8, func(s *site) {
			s.fill("a")
			s.xai.failWith(failed(http.StatusNotImplemented))
			before := s.xai.called()
			for range 8 {
				s.want("a", 200, 0) // from what is there
			}
			s.wantCalls(before + 8) // one for each, before the first was known to fail
			for range 60 {
				s.want("a", 502, latency)
				time.Sleep(time.Second - latency)
			}
			synctest.Wait()
			if n := s.logs.FilterMessage("prefetching paused").Len(); n < 3 || n > 12 {
				s.t.Errorf("%d pauses were logged", n)
			}
			if refills := s.xai.called() - before - 8 - 60; refills < 3 || refills > 12 {
				s.t.Errorf("%d calls minted ahead in a minute", refills)
			}
			s.xai.failWith(nil)
			s.want("a", 200, latency)
			time.Sleep(stock.MaxPause + stock.MaxPause/2 + time.Second)
			synctest.Wait()
			if n := s.kept(); n != 8 {
				s.t.Errorf("%d tokens are kept", n)
			}

			s.xai.Script(failed(http.StatusNotImplemented))
			s.want("a", 200, 0)
			time.Sleep(latency)
			synctest.Wait()
			pauses := s.logs.FilterMessage("prefetching paused").All()
			if wait := pauses[len(pauses)-1].ContextMap()["wait"].(time.Duration); wait > stock.MinPause+stock.MinPause/2 {
				s.t.Errorf("the first pause of another failure is %s long", wait)
			}
		})
	})
	t.Run("tries with one call after a failure", func(t *testing.T) {
		inFakeTime(t, 8, func(s *site) {
			s.fill("a")
			s.xai.failWith(failed(http.StatusNotImplemented))
			for range 8 {
				s.want("a", 200, 0)
			}
			time.Sleep(latency)
			if n := s.xai.mostAtOnce(); n != 8 {
				s.t.Errorf("%d calls were made at once before, want 8", n)
			}
			time.Sleep(time.Minute)
			if n := s.xai.mostAtOnce(); n != 1 {
				s.t.Errorf("%d calls were made at once, want 1", n)
			}
		})
	})
	t.Run("waits as long as xAI asks for", func(t *testing.T) {
		inFakeTime(t, 2, func(s *site) {
			s.fill("a")
			s.xai.Script(failed(http.StatusTooManyRequests, "Retry-After", "60"), sandbox.Delay(0))
			s.want("a", 200, 0)
			time.Sleep(time.Millisecond)
			s.want("a", 200, 0)
			time.Sleep(time.Second)
			s.want("a", 200, 0)
			// The call that went well is no reason to go on, neither for refills nor
			// for requests.
			before := s.xai.called()
			for range 45 { // until what is left fits into a request's own time
				s.want("a", 503, 0)
				time.Sleep(time.Second)
			}
			s.wantCalls(before)
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if n := s.kept(); n != 2 {
				s.t.Errorf("%d tokens are kept", n)
			}
		})
	})
	t.Run("survives a transport that panics", func(t *testing.T) {
		inFakeTime(t, 1, func(s *site) {
			s.fill("a secret key")
			s.xai.panics = true
			s.want("a secret key", 200, 0)
			if status, _ := s.ask(s.t.Context(), "a secret key"); status != http.StatusBadGateway {
				s.t.Errorf("a request that met the panic itself got %d", status)
			}
			synctest.Wait()
			for _, message := range []string{"prefetching paused", xai.ErrUnreachable.Error()} {
				logged := s.logs.FilterMessage(message).All()
				if len(logged) == 0 || logged[0].ContextMap()["upstream_message"] != "panic: cannot send Bearer [key]" {
					s.t.Errorf("%s: logged %v", message, logged)
				}
			}
		})
	})
	t.Run("does not go in circles with tokens that come too late", func(t *testing.T) {
		inFakeTimeFor(t, 8, time.Second, func(s *site) {
			s.xai.failWith(sandbox.Delay(time.Second/2 - latency/2))
			for range 100 {
				s.want("a", 200, time.Second/2+latency/2)
			}
			if refills := s.xai.called() - 100; refills < 3 || refills > 20 {
				s.t.Errorf("%d calls minted ahead in a minute", refills)
			}
		})
	})
	t.Run("gives a call that hangs up", func(t *testing.T) {
		inFakeTime(t, 1, func(s *site) {
			s.fill("a")
			s.xai.Script(sandbox.Hang())
			s.want("a", 200, 0)
			time.Sleep(defaultTimeout)
			s.want("a", 200, latency)
			time.Sleep(2 * time.Second)
			s.want("a", 200, 0)
		})
	})
}
