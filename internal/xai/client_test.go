// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// The tests of the client run in fake time, with the sandbox as xAI and without a
// network, which fake time would not wait for. How it fares over a real network,
// and with all that can go wrong there, is tested with a whole Caddy.

const (
	testKey  = "xai-test-key-0123456789"
	lifetime = 5 * time.Minute
)

// memoryUpstream is the sandbox, with a record of its calls.
type memoryUpstream struct {
	*sandbox.Server

	mu    sync.Mutex
	calls int
	open  int
	most  int // calls at the same time
}

func (u *memoryUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.count(1)
	defer u.count(-1)
	answered := make(chan *http.Response, 1)
	go func() {
		defer func() {
			if recover() != nil { // as a server does when its handler aborts
				answered <- nil
			}
		}()
		w := httptest.NewRecorder()
		u.ServeHTTP(w, r)
		w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
		answered <- w.Result()
	}()
	select {
	case resp := <-answered:
		if resp == nil {
			return nil, errors.New("the connection broke")
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (u *memoryUpstream) count(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls += max(n, 0)
	u.open += n
	u.most = max(u.most, u.open)
}

// called returns how many calls there were since it was last asked.
func (u *memoryUpstream) called() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	calls := u.calls
	u.calls = 0
	return calls
}

// inFakeTime runs a test with a client as the handler makes it by default.
func inFakeTime(t *testing.T, test func(t *testing.T, c *Client, xai *memoryUpstream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		xai := &memoryUpstream{Server: &sandbox.Server{APIKey: testKey}}
		client, err := NewClient(&Config{
			Endpoint:     "https://xai.example.com/v1/realtime/client_secrets",
			ExpiresAfter: lifetime,
			Timeout:      10 * time.Second,
			Retries:      2,
			Transport:    xai,
			Requests:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "Calls."}, []string{"code"}),
			Duration:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "duration_seconds", Help: "Of calls."}),
			Logger:       zap.NewNop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		client.relief = client.exchange // as with Caddy's transport
		test(t, client, xai)
		synctest.Wait()
		if xai.open != 0 {
			t.Errorf("%d calls go on", xai.open)
		}
	})
}

// outcome is how a Mint ended.
type outcome struct {
	failed *Error // nil for a token
	took   time.Duration
}

// mint mints with the defaults.
func mint(t *testing.T, c *Client, key string) outcome {
	t.Helper()
	start := time.Now()
	minted, err := c.Mint(t.Context(), key, "a request", 2)
	got := outcome{took: time.Since(start)}
	if err == nil && minted.Value == "" {
		t.Error("a token without a value")
	}
	if err != nil && !errors.As(err, &got.failed) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return got
}

// want mints, and checks how that ends: a nil failure is a token.
func want(t *testing.T, c *Client, key string, failure error) outcome {
	t.Helper()
	got := mint(t, c, key)
	if got.failed == nil && failure != nil || got.failed != nil && !errors.Is(got.failed.Failure, failure) {
		t.Errorf("got %v after %s, want %v", got.failed, got.took, failure)
	}
	return got
}

func TestMint(t *testing.T) {
	t.Run("retries what may end better", func(t *testing.T) {
		for _, status := range []int{408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529} {
			inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
				xai.Script(sandbox.Status(status))
				want(t, c, testKey, nil)
				if n := xai.called(); n != 2 {
					t.Errorf("%d: %d calls, want 2", status, n)
				}
			})
		}
	})
	t.Run("does not retry what would not", func(t *testing.T) {
		for status, failure := range map[int]error{
			301: ErrRedirect, 307: ErrRedirect, 401: ErrAuth, 403: ErrAuth, 404: ErrRefused, 422: ErrRefused, 501: ErrFailed, 525: ErrFailed,
		} {
			inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
				xai.Script(sandbox.Status(status))
				want(t, c, testKey, failure)
				if n := xai.called(); n != 1 {
					t.Errorf("%d: %d calls, want 1", status, n)
				}
			})
		}
	})
	t.Run("tells a wrong key, for which xAI has the status 400, from a wrong request", func(t *testing.T) {
		for body, failure := range map[string]error{
			`{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***23."}`: ErrAuth,
			`{"code":"invalid-argument","error":"Incorrect API key provided."}`:                              ErrAuth,
			`{"error":{"message":"invalid api_key"}}`:                                                        ErrAuth,
			`{"code":"invalid-argument","error":"expires_after.seconds must be at most 3600"}`:               ErrRefused,
			`<html>the keyboard is broken</html>`:                                                            ErrRefused,
		} {
			inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
				xai.Script(sandbox.Answer(http.StatusBadRequest, body))
				want(t, c, testKey, failure)
			})
		}
	})
	t.Run("says where a redirect leads", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Status(http.StatusFound, "Location", "https://login.example.com/?from="+testKey))
			failed := want(t, c, testKey, ErrRedirect).failed
			if failed.Message != "Location: https://login.example.com/?from=[key]" {
				t.Errorf("the log would say %q", failed.Message)
			}
		})
	})
	t.Run("gives nobody an answer that holds the key", func(t *testing.T) {
		for _, body := range []string{
			`{"value":"` + testKey + `"}`,
			`{"value":"a","debug":{"authorization":"Bearer ` + testKey + `"}}`,
			`{"value":"a","debug":"xai\u002dtest-key-0123456789"}`,
			`{"value":"a","xai-test\u002Dkey-0123456789":1}`,
			`{"value":"a","debug":"{\"key\":\"xai\\u002dtest-key-0123456789\"}"}`,
		} {
			inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
				xai.Script(sandbox.Answer(http.StatusOK, body))
				failed := want(t, c, testKey, ErrUnusable).failed
				if failed != nil && failed.Message != "it holds the API key" {
					t.Errorf("%s: the log would say %q", body, failed.Message)
				}
			})
		}
	})
	t.Run("does not look for a key that is too short to be one", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.APIKey = "value"
			want(t, c, "value", nil)
		})
	})
}

// TestLifetime checks how long a token is good for, by its own word and by xAI's
// clock.
func TestLifetime(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		expiresAt any
		want      time.Duration
	}{
		"as long as asked for":                                 {now.Add(lifetime).Unix(), lifetime},
		"as long as asked for if xAI is kind":                  {now.Add(time.Hour).Unix(), lifetime},
		"less if xAI says so":                                  {now.Add(2 * time.Second).Unix(), 2 * time.Second},
		"less in milliseconds":                                 {now.Add(2 * time.Second).UnixMilli(), 2 * time.Second},
		"as long as asked for if xAI's end is over on arrival": {now.Add(-time.Minute).Unix(), lifetime},
		"as long as asked for if xAI does not say":             {nil, lifetime},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"value": "a", "expires_at": test.expiresAt})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			_, _ = w.Write(body)
			resp := w.Result()
			defer resp.Body.Close()
			minted, err := readAnswer(resp, testKey, lifetime)
			if err != nil {
				t.Fatal(err)
			}
			if got := minted.Lifetime(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestPatience(t *testing.T) {
	t.Run("a slow xAI is not a dead one", func(t *testing.T) {
		for _, latency := range []time.Duration{4500 * time.Millisecond, 7 * time.Second, 9 * time.Second} {
			inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
				xai.Latency = latency
				if took := want(t, c, testKey, nil).took; took != latency {
					t.Errorf("a token after %s from an xAI that takes %s", took, latency)
				}
				if xai.most > 2 {
					t.Errorf("%d calls at a time", xai.most)
				}
			})
		}
	})
	t.Run("a connection that hangs is tried again in time", func(t *testing.T) {
		for hung := 1; hung <= 2; hung++ {
			inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
				for range hung {
					xai.Script(sandbox.Hang())
				}
				if took := want(t, c, testKey, nil).took; took > 8*time.Second {
					t.Errorf("a token after %s", took)
				}
				if n := xai.called(); n != hung+1 {
					t.Errorf("%d calls, want %d", n, hung+1)
				}
			})
		}
	})
	t.Run("the time is up when everything hangs", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Hang(), sandbox.Hang(), sandbox.Hang())
			if took := want(t, c, testKey, ErrTimeout).took; took != 10*time.Second {
				t.Errorf("given up after %s", took)
			}
		})
	})
	t.Run("the time is up when the first attempt hangs and the others fail", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Hang(), sandbox.Status(503), sandbox.Status(503))
			if took := want(t, c, testKey, ErrTimeout).took; took != 10*time.Second {
				t.Errorf("given up after %s", took)
			}
		})
	})
	t.Run("a refusal decides, however patient the first attempt", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Hang(), sandbox.Status(http.StatusForbidden))
			if took := want(t, c, testKey, ErrAuth).took; took > 5*time.Second {
				t.Errorf("refused after %s", took)
			}
		})
	})
	t.Run("and a late one of the first attempt, whatever the retries do", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
				time.Sleep(4 * time.Second)
				sandbox.Status(http.StatusForbidden)(w, r, mint)
			}, sandbox.Hang())
			if took := want(t, c, testKey, ErrAuth).took; took != 4*time.Second {
				t.Errorf("refused after %s", took)
			}
		})
	})
	t.Run("the time is up when the first attempt breaks and the others hang", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
				time.Sleep(4 * time.Second)
				sandbox.Break()(w, r, mint)
			}, sandbox.Hang(), sandbox.Hang())
			if took := want(t, c, testKey, ErrTimeout).took; took != 10*time.Second {
				t.Errorf("given up after %s", took)
			}
		})
	})
	t.Run("the first attempt outlives retries that fail", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Delay(8*time.Second), sandbox.Status(500), sandbox.Status(500))
			if took := want(t, c, testKey, nil).took; took != 8*time.Second {
				t.Errorf("a token after %s", took)
			}
		})
	})
	t.Run("and the retries outlive a first attempt that breaks", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
				time.Sleep(4 * time.Second)
				sandbox.Break()(w, r, mint)
			}, sandbox.Delay(2*time.Second))
			if took := want(t, c, testKey, nil).took; took > 6*time.Second {
				t.Errorf("a token after %s", took)
			}
		})
	})
	t.Run("the last error is told when all fail", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
				time.Sleep(4 * time.Second)
				sandbox.Break()(w, r, mint)
			}, sandbox.Status(503), sandbox.Status(529))
			if failed := want(t, c, testKey, ErrFailed).failed; failed.Status != 529 {
				t.Errorf("got the status %d", failed.Status)
			}
		})
	})
	t.Run("nobody waits for retries whose client left", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Hang(), sandbox.Hang(), sandbox.Hang())
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			_, err := c.Mint(ctx, testKey, "a request", 2)
			if took := time.Since(start); !errors.Is(err, ErrCanceled) || took != 5*time.Second {
				t.Errorf("got %v after %s", err, took)
			}
		})
	})
}
