// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package load

// descriptors returns how many connections this process may open: Windows has
// no limit that matters.
func descriptors() int { return 1 << 20 }
