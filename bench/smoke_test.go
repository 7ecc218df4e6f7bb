// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
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
	s := settings{Rounds: 1, Connections: 4, Duration: 200 * time.Millisecond, LatencyDuration: 400 * time.Millisecond}
	return &lab{settings: s, dir: t.TempDir(), progress: t.Output(), contenders: goContenders()}
}

// TestSmoke starts everything and asks each contender for a token.
func TestSmoke(t *testing.T) {
	l := newTestLab(t)
	f, err := l.start(t.Context(), time.Millisecond, prefetchSize)
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
			if entrant.name != static && entrant.name != staticLogged && checkAnswer(status, body) == nil {
				t.Error("GET got a token")
			}
		})
	}
	if len(sizes) != 1 {
		t.Errorf("the answers have %d sizes, want one", len(sizes))
	}
	t.Run("the prefetching plugin tells of its stock", func(t *testing.T) {
		metrics, err := awaitStock(t.Context(), f.entrants[1].admin, prefetchSize)
		if err != nil {
			t.Fatal(err)
		}
		if handedOut := metrics[mintedCount] + metrics[prefetchedCount]; handedOut != 2 {
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

func TestMeasureLatency(t *testing.T) {
	found, err := measureLatency(t.Context(), newTestLab(t), 50, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range found.Rows {
		if len(r.Figures[medianLatency]) != 1 || r.Figures[requests][0] == 0 || r.Note != "" {
			t.Errorf("%s: got %v, %s", r.Name, r.Figures, r.Note)
		}
		if hasStock := r.Name == prefetching; hasStock != (r.Figures[fromStock] != nil) {
			t.Errorf("%s: from stock are %v", r.Name, r.Figures[fromStock])
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
	for _, r := range found.Tables[0].Rows {
		if rate := r.Figures[perSecond]; len(rate) != 1 || rate[0] <= 0 {
			t.Errorf("%s: got %v requests/s", r.Name, rate)
		}
	}
}

// TestTakeTurns has contenders that fail.
func TestTakeTurns(t *testing.T) {
	l := newTestLab(t)
	f, err := l.start(t.Context(), 0, 0, minting, goServer, goServerPooled)
	if err != nil {
		t.Fatal(err)
	}
	defer f.stop()
	failing := goServer
	turn := func(round int, entrant *process, r *row) error {
		if entrant.name == failing {
			return errors.New("broken")
		}
		r.set("round", float64(round))
		return nil
	}
	t.Run("one has no more turns, and no figures", func(t *testing.T) {
		found, err := l.takeTurns(t.Context(), f, 2, turn)
		if err != nil {
			t.Fatal(err)
		}
		if r := found.Rows[1]; r.Figures != nil || r.Note != "broken" {
			t.Errorf("its row is %v", r)
		}
		if got := found.Rows[2].Figures["round"]; !slices.Equal(got, []float64{0, 1}) {
			t.Errorf("another one had the rounds %v", got)
		}
	})
	t.Run("the plugin's failure is the experiment's", func(t *testing.T) {
		failing = minting
		if _, err := l.takeTurns(t.Context(), f, 2, turn); err == nil || err.Error() != minting+": broken" {
			t.Errorf("got error %v", err)
		}
	})
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
	if _, _, err := loop.runFor(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), "got 404") {
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
	contenders := goContenders()
	p, err := contenders[len(contenders)-1].start(t.Context(), dir, up, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	loop := newOpenLoop(p.address, 20)
	defer loop.client.CloseIdleConnections()
	err = loop.run(t.Context(), time.Minute, 1, new(table).add(""))
	var sent, failed int
	if err == nil {
		t.Fatal("it kept up")
	}
	if _, err := fmt.Sscanf(err.Error(), "does not keep up: of %d requests %d failed", &sent, &failed); err != nil || sent > 20*overloadAfter+1 {
		t.Errorf("got %v with %d requests, want at most %d", err, sent, 20*overloadAfter+1)
	}
}

func TestStartProcess(t *testing.T) {
	t.Run("shows the log of a server that does not start", func(t *testing.T) {
		_, err := startProcess(t.Context(), "a broken one", t.TempDir(), self("caddy", "run", "--config", "missing"))
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
		p, err := startProcess(ctx, "the upstream", t.TempDir(), self("upstream"), "LATENCY=0s")
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
