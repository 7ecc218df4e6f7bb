// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit/limittest"
)

func TestMemory(t *testing.T) {
	for _, unit := range []time.Duration{time.Microsecond, time.Second, 15 * 24 * time.Hour} {
		t.Run("in a unit of "+unit.String(), func(t *testing.T) {
			limittest.Run(t, unit, func(t *testing.T, test func(*testing.T, limit.Store)) {
				t.Helper()
				synctest.Test(t, func(t *testing.T) { test(t, limit.NewMemory()) })
			})
		})
	}
}
