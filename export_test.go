// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

// FailureReasons returns the label of each way in which a request can fail, for
// the tests from outside.
func FailureReasons() []string {
	var reasons []string
	for _, failure := range failures {
		reasons = append(reasons, failure.reason)
	}
	return reasons
}
