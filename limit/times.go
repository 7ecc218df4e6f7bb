// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limit

import "sort"

// times is a queue of times in ascending order.
type times struct {
	ring  []int64 // its length is a power of two
	first int
	count int
}

// at returns the time at an index, the oldest being at 0.
func (t *times) at(i int) int64 { return *t.slot(i) }

func (t *times) slot(i int) *int64 { return &t.ring[(t.first+i)&(len(t.ring)-1)] }

// add adds a time that is not older than any that is there.
func (t *times) add(time int64) {
	if t.count == len(t.ring) {
		t.resize(max(1, 2*t.count))
	}
	t.count++
	*t.slot(t.count - 1) = time
}

// expire removes all times up to one, and returns how many.
func (t *times) expire(until int64) (removed int) {
	for removed < t.count && t.at(removed) <= until {
		removed++
	}
	if removed == 0 {
		return 0
	}
	t.first = (t.first + removed) & (len(t.ring) - 1)
	t.count -= removed
	// Not at a half, or taking and expiring in turn would resize each time.
	if size := len(t.ring); size > 8 && t.count <= size/4 {
		t.resize(size / 2)
	}
	return removed
}

// remove removes one time, and reports whether it was there.
func (t *times) remove(time int64) bool {
	i := sort.Search(t.count, func(i int) bool { return t.at(i) >= time })
	if i == t.count || t.at(i) != time {
		return false
	}
	// A token is given back soon after it was taken, so few are younger.
	for ; i < t.count-1; i++ {
		*t.slot(i) = t.at(i + 1)
	}
	t.count--
	return true
}

func (t *times) resize(size int) {
	ring := make([]int64, size)
	for i := range t.count {
		ring[i] = t.at(i)
	}
	t.ring, t.first = ring, 0
}
