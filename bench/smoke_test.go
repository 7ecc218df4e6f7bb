// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if serveIfAsked() { // this process is one that a test has started
		return
	}
	os.Exit(m.Run())
}

// newTestLab is one with the contenders that need nothing but Go.
func newTestLab(t *testing.T) *lab {
	t.Helper()
	contenders, err := goContenders()
	if err != nil {
		t.Fatal(err)
	}
	s := settings{Rounds: 1, Connections: 4, Duration: 200 * time.Millisecond, LatencyDuration: 400 * time.Millisecond, Seed: 1}
	return &lab{settings: s, dir: t.TempDir(), progress: t.Output(), contenders: contenders}
}

// TestSmoke starts everything and asks each contender for a token.
func TestSmoke(t *testing.T) {
	l := newTestLab(t)
	f, err := l.start(t.Context(), time.Millisecond, latencyPrefetch)
	if err != nil {
		t.Fatal(err)
	}
	defer f.stop()
	if len(f.entrants) != len(l.contenders) {
		t.Fatalf("%d of %d contenders started", len(f.entrants), len(l.contenders))
	}
	sizes := make(map[int]bool)
	for _, entrant := range f.entrants {
		t.Run(entrant.name, func(t *testing.T) {
			status, body, err := fetch(t.Context(), http.MethodPost, "http://"+entrant.address+"/session")
			if err != nil {
				t.Fatal(err)
			}
			if err := checkAnswer(status, body); err != nil {
				t.Error(err)
			}
			sizes[len(body)] = true
			if status, body, err = fetch(t.Context(), http.MethodGet, "http://"+entrant.address+"/session"); err != nil {
				t.Fatal(err)
			}
			if entrant.name != static && checkAnswer(status, body) == nil {
				t.Error("GET got a token")
			}
		})
	}
	if len(sizes) != 1 {
		t.Errorf("the answers have %d sizes, want one", len(sizes))
	}
	t.Run("the prefetching plugin tells of its stock", func(t *testing.T) {
		counts, err := awaitStock(t.Context(), f.entrants[1].admin, latencyPrefetch)
		if err != nil {
			t.Fatal(err)
		}
		if handedOut := counts.minted + counts.prefetched; handedOut != 2 {
			t.Errorf("it handed out %g tokens, want 2", handedOut)
		}
	})
	t.Run("stops what it has started", func(t *testing.T) {
		f.stop()
		for _, p := range append(f.entrants, f.upstream) {
			select {
			case <-p.exited:
			default:
				t.Errorf("%s is still there", p.name)
			}
		}
	})
}

func TestScenario(t *testing.T) {
	s := scenario{Rate: 50, Upstream: time.Millisecond}
	if err := s.run(t.Context(), newTestLab(t)); err != nil {
		t.Fatal(err)
	}
	for i := range s.Contenders {
		c := &s.Contenders[i]
		if c.Failures > 0 || c.Requests == 0 {
			t.Errorf("%s: %d of %d requests failed: %s", c.Name, c.Failures, c.Requests, c.Failure)
		}
		if hasStock := c.Name == prefetching; hasStock != (c.StockHits != nil) {
			t.Errorf("%s: its stock hits are %v", c.Name, c.StockHits)
		}
	}
}

func TestThroughput(t *testing.T) {
	l := newTestLab(t)
	l.contenders = l.contenders[len(l.contenders)-2:]
	found, err := runThroughput(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.(*throughput).Contenders {
		if len(c.PerSecond) != 1 || c.PerSecond[0] <= 0 {
			t.Errorf("%s: got %v requests/s", c.Name, c.PerSecond)
		}
	}
}

// TestClosedLoopRefuses has a server that hands out no tokens.
func TestClosedLoopRefuses(t *testing.T) {
	p, err := startUpstream(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	loop := newClosedLoop(p.address, 2)
	defer loop.close()
	if _, err := loop.runFor(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), "got 404") {
		t.Errorf("got error %v", err)
	}
}

// TestOpenLoopOverload has a server that answers later than anybody waits.
func TestOpenLoopOverload(t *testing.T) {
	dir := t.TempDir()
	up, err := startUpstream(t.Context(), dir, 2500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer up.stop()
	contenders, err := goContenders()
	if err != nil {
		t.Fatal(err)
	}
	p, err := contenders[len(contenders)-1].start(t.Context(), dir, up, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	loop := newOpenLoop(p.address, 20)
	defer loop.close()
	figures, err := loop.run(t.Context(), time.Minute, 1)
	if err != nil {
		t.Fatal(err)
	}
	if most := 20*overloadAfter + 1; figures.keptUp || figures.requests > most {
		t.Errorf("kept up %t with %d requests, want at most %d", figures.keptUp, figures.requests, most)
	}
}

func TestStartProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("shows the log of a server that does not start", func(t *testing.T) {
		_, err := startProcess(t.Context(), "a broken one", t.TempDir(), []string{self, "caddy", "run", "--config", "missing"})
		if err == nil || !strings.Contains(err.Error(), "a broken one ended before it answered") || !strings.Contains(err.Error(), "missing") {
			t.Errorf("got error %v", err)
		}
	})
	t.Run("names a program that does not exist", func(t *testing.T) {
		_, err := startProcess(t.Context(), "nothing", t.TempDir(), []string{"no-such-program"})
		if err == nil || !strings.Contains(err.Error(), "starting nothing") {
			t.Errorf("got error %v", err)
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, err := startProcess(ctx, "the upstream", t.TempDir(), []string{self, "upstream"}, "LATENCY=0s")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-p.exited
	})
}

// TestBenchmarkStops has a run that is interrupted before it has begun.
func TestBenchmarkStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout bytes.Buffer
	err := benchmark(ctx, []string{"-results", t.TempDir(), "throughput"}, &stdout, t.Output())
	if err == nil || !strings.Contains(err.Error(), "stopped in throughput") || stdout.Len() > 0 {
		t.Errorf("got error %v, and %q", err, stdout.String())
	}
}
