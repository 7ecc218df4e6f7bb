// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"bufio"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Logged returns the log entries of the plugin so far.
func (s *Server) Logged() []map[string]any {
	s.t.Helper()
	return s.LoggedBy("http.handlers.xai_ephemeral_token")
}

// LoggedBy returns the log entries so far of the loggers whose names begin with
// logger.
func (s *Server) LoggedBy(logger string) []map[string]any {
	s.t.Helper()
	var entries []map[string]any
	scanner := bufio.NewScanner(strings.NewReader(s.ReadFile("caddy.log")))
	for scanner.Scan() {
		var entry map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
			continue // a line that is being written
		}
		if name, _ := entry["logger"].(string); strings.HasPrefix(name, logger) {
			entries = append(entries, entry)
		}
	}
	return entries
}

// Metrics returns the plugin's metrics, by name and labels.
func (s *Server) Metrics() map[string]float64 {
	s.t.Helper()
	values := make(map[string]float64)
	body := s.Do(http.MethodGet, s.AdminURL+"/metrics").Body
	for _, match := range regexp.MustCompile(`(?m)^(caddy_xai_ephemeral_token_\S+) (\S+)$`).FindAllStringSubmatch(body, -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		values[match[1]] = value
	}
	return values
}

// Prefetched returns how many tokens wait for requests.
func (s *Server) Prefetched() int {
	s.t.Helper()
	return int(s.Metrics()["caddy_xai_ephemeral_token_prefetched_tokens"])
}

// WaitPrefetched waits until so many tokens wait for requests.
func (s *Server) WaitPrefetched(want int) {
	s.t.Helper()
	Eventually(s.t, "the stock is full", func() bool { return s.Prefetched() == want })
}
