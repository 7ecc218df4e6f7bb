// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// checkInterval is how often a server that is down is asked whether it still is.
	checkInterval = time.Second

	// logInterval is how often it is said that it is.
	logInterval = 5 * time.Second
)

// watch knows whether the server is down, so that requests need not wait for it then.
type watch struct {
	logger    *zap.Logger
	meanwhile string
	check     func() error
	makeUp    func() // for what failed while the server was down

	down     atomic.Bool
	requests atomic.Int64 // that came since the last line was logged

	mu      sync.Mutex
	stopped chan struct{} // closed when the config is unloaded
}

func newWatch(logger *zap.Logger, onError string, check func() error, makeUp func()) *watch {
	meanwhile := "requests get 503"
	if onError == onErrorLocal {
		meanwhile = "this process counts by itself"
	}
	return &watch{logger: logger, meanwhile: meanwhile, check: check, makeUp: makeUp, stopped: make(chan struct{})}
}

func (w *watch) isDown() bool { return w.down.Load() }

// countRequest counts a request that came while the server was down.
func (w *watch) countRequest() { w.requests.Add(1) }

// begin asks the server for the first time.
func (w *watch) begin() {
	if err := w.check(); err != nil {
		w.startChecking(zapcore.WarnLevel, err)
	}
}

// report is told of an error of the server that a request had to wait for.
func (w *watch) report(err error) {
	w.startChecking(zapcore.ErrorLevel, err)
}

func (w *watch) startChecking(level zapcore.Level, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stopped:
	default:
		if w.down.CompareAndSwap(false, true) {
			go w.keepChecking(level, err)
		}
	}
}

// keepChecking asks the server until it answers again.
func (w *watch) keepChecking(level zapcore.Level, err error) {
	since := time.Now()
	w.log(level, err)
	logged := since
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case <-ticker.C:
		}
		if err = w.check(); err == nil {
			break
		}
		// Nothing new is said where nobody asks.
		if time.Since(logged) >= logInterval && w.requests.Load() > 0 {
			w.log(zapcore.ErrorLevel, err)
			logged = time.Now()
		}
	}
	w.logger.Info("the limit store answers again",
		zap.Duration("down_for", time.Since(since)), zap.Int64("requests", w.requests.Swap(0)))
	w.down.Store(false) // before a long queue is worked off
	w.makeUp()
}

func (w *watch) log(level zapcore.Level, err error) {
	w.logger.Log(level, "the limit store does not answer",
		zap.Error(err), zap.String("meanwhile", w.meanwhile), zap.Int64("requests", w.requests.Swap(0)))
}

// stop ends the checks. One that is being made ends by its own timeout.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stopped:
	default:
		close(w.stopped)
	}
}
