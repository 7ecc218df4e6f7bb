// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitest

import (
	"math/big"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// CheckRetryAfter checks the Retry-After of an answer against xAI's, which was
// received at or after before.
func CheckRetryAfter(t testing.TB, got, theirs string, before time.Time) {
	t.Helper()
	hour := big.NewInt(60 * 60)
	least, most := new(big.Int), new(big.Int)
	if regexp.MustCompile(`^\d+$`).MatchString(theirs) {
		least.SetString(theirs, 10)
		most.Set(least)
	} else {
		for _, layout := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
			if date, err := time.Parse(layout, theirs); err == nil {
				most.SetInt64(date.Unix() - before.Unix())
				least.SetInt64(date.Unix() - time.Now().Unix())
			}
		}
	}
	limit := func(n *big.Int) int64 {
		switch {
		case n.Sign() < 0:
			return 0
		case n.Cmp(hour) > 0:
			return hour.Int64()
		default:
			return n.Int64()
		}
	}
	seconds := int64(0)
	if got != "" {
		var err error
		if seconds, err = strconv.ParseInt(got, 10, 64); err != nil || seconds < 1 {
			t.Errorf("answered with the Retry-After %q", got)
		}
	}
	if seconds < limit(least) || seconds > limit(most) {
		t.Errorf("xAI's Retry-After %q became %q", theirs, got)
	}
}
