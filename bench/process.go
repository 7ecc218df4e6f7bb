// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

const (
	startLimit = 30 * time.Second
	stopLimit  = 5 * time.Second
	maxLogTail = 2 << 10 // of what an error quotes
)

// process is a server that the run has started, and that ends with it.
type process struct {
	name    string
	address string // its host and port
	admin   string // those of its admin API, if it is a Caddy
	log     string
	pid     int
	cancel  context.CancelFunc
	exited  chan struct{}
	err     error // how it ended, once exited is closed
}

// self is the command that starts this program again as one of its servers.
func self(server string, args ...string) []string {
	path, _ := os.Executable() // without it, starting fails
	return append([]string{path, server}, args...)
}

// startProcess runs a command, whose environment names the addresses to listen
// on, and returns once it answers HTTP. The process ends with ctx or by stop.
func startProcess(ctx context.Context, name, dir string, args []string, env ...string) (*process, error) {
	addresses, err := freeAddresses(ctx, 2)
	if err != nil {
		return nil, fmt.Errorf("%s: finding a free port: %w", name, err)
	}
	log, err := os.CreateTemp(dir, "*.log")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer log.Close() //nolint:errcheck // the process has it open for itself

	p := &process{name: name, address: addresses[0], admin: addresses[1], log: log.Name(), exited: make(chan struct{})}
	ctx, p.cancel = context.WithCancel(ctx)
	command := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // our own servers
	command.Stdout, command.Stderr = log, log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopLimit
	command.Env = append(os.Environ(), append(env,
		"ADDRESS="+p.address, "ADMIN="+p.admin, "XAI_API_KEY="+apiKey, "NODE_ENV=production",
		// Caddy keeps nothing in the user's directories, and nobody goes through a
		// network proxy.
		"XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")...)
	if err := command.Start(); err != nil {
		p.cancel()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = command.Process.Pid
	go func() {
		p.err = command.Wait()
		close(p.exited)
	}()
	if err := p.awaitAnswer(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s %w%s", name, err, p.logTail())
	}
	return p, nil
}

// stop ends the process and returns when it has ended.
func (p *process) stop() {
	p.cancel()
	<-p.exited
}

// awaitAnswer waits until the process answers HTTP, with any status.
func (p *process) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if _, _, err := fetch(ctx, http.MethodGet, "http://"+p.address+"/"); err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended before it answered (%v)", p.err) //nolint:errorlint // may be nil
		case <-ctx.Done():
			return fmt.Errorf("does not answer at %s: %w", p.address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logTail returns the end of the process's log, to follow an error.
func (p *process) logTail() string {
	text, _ := os.ReadFile(p.log)
	return "\nthe end of its log:\n" + strings.TrimSpace(string(text[max(0, len(text)-maxLogTail):]))
}

// cpuTime returns how much CPU time a process has used. It needs Linux.
func cpuTime(pid int) (time.Duration, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	stat, err := proc.Stat()
	return time.Duration(stat.CPUTime() * float64(time.Second)), err
}

// residentMemory returns how many bytes of memory a process keeps for itself: without
// the parts of its executable that happen to be loaded. It needs Linux.
func residentMemory(pid int) (float64, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	status, err := proc.NewStatus()
	return float64(status.RssAnon), err
}

// freeAddresses returns loopback addresses on which nobody listened just now.
func freeAddresses(ctx context.Context, count int) ([]string, error) {
	addresses := make([]string, count)
	for i := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() //nolint:gocritic // all at the end, or one could be found twice
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}

// httpClient is for what is not measured. It keeps no connections, which would
// outlive the server.
var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// fetch sends a request without a body and returns the answer.
func fetch(ctx context.Context, method, url string) (status int, body []byte, err error) {
	return send(ctx, httpClient, method, url, nil, nil)
}

// send sends a request and returns the answer.
func send(ctx context.Context, client *http.Client, method, url string, header http.Header, content io.Reader) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
