// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package limit counts tokens against ceilings: never more than so many in any
// span of so long.
//
// A window slides over the times at which tokens were asked for. It is no bucket
// that refills, which lets nearly twice its size through in one window.
//
// [Memory] counts in this process. To count elsewhere, over several processes for
// example, implement [Store], and hold it to the tests of package limittest.
package limit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

const (
	// MaxCount is the most that a limit can allow.
	MaxCount = 1_000_000

	// MaxWindow is the longest span that a limit can have.
	MaxWindow = 31 * 24 * time.Hour
)

// Limit is a ceiling: never more than Count tokens in any span of Window. A token
// that was asked for exactly Window ago does not count any more.
type Limit struct {
	// What the limit is called. With the window it tells the limits of a scope
	// apart; what it means is up to whoever makes limits.
	Name string

	// How many tokens, from 1 to [MaxCount]. The count is no part of what the limit
	// is: another one holds for the tokens that were taken before, too.
	Count int

	// The span, more than zero and at most [MaxWindow].
	Window time.Duration
}

// Validate returns an error if the count or the window is out of range.
func (l Limit) Validate() error {
	if l.Count < 1 || l.Count > MaxCount {
		return fmt.Errorf("the count %d is out of range; it must be from 1 to %d", l.Count, MaxCount)
	}
	if l.Window <= 0 || l.Window > MaxWindow {
		return fmt.Errorf("the window %s is out of range; it must be more than zero and at most 31 days, which are %s", l.Window, "744h")
	}
	return nil
}

// Claim asks a limit for one token.
type Claim struct {
	Limit

	// For whom the token is: each client has all of the limit for itself. Any text,
	// also an empty one.
	Client string
}

// Hash returns what a store that others can read may call the claim's tokens by,
// in place of the client's name or address: 22 letters, digits, dashes and
// underscores, which are the same for the same name, window and client.
func (c Claim) Hash() string {
	return Hash(c.Name, strconv.FormatInt(int64(c.Window), 10), c.Client)
}

// Hash returns 128 bits of the SHA-256 of several texts, as 22 letters, digits,
// dashes and underscores. No two lists of texts are taken for each other.
func Hash(texts ...string) string {
	var all []byte
	for _, text := range texts {
		all = binary.AppendUvarint(all, uint64(len(text)))
		all = append(all, text...)
	}
	sum := sha256.Sum256(all)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Store counts tokens. Its methods are called by many goroutines at once.
type Store interface {
	// Take takes one token from each limit that is claimed, or, if one of them has
	// none left, from none, in one atomic step. Limits of one scope are told apart
	// by their names and windows, and share nothing with those of other scopes. No
	// two of the claims are of the same limit.
	//
	// The token counts from the moment at which the store takes it, by one clock for
	// all who use the store. When a limit's count is lower than it was, nothing is
	// taken until enough of the tokens are older than the window.
	//
	// If limits have no token left, the error is a [*RefusedError]. Every other error says
	// that the store does not work at present; it must come within a time that a
	// request can wait, because Take is called while one waits. Where it is not known
	// whether the tokens were taken, they may stay taken: what is never allowed is to
	// return without an error more often than the limits allow.
	//
	// The context is the request's. It ends when the client goes away.
	Take(ctx context.Context, scope string, claims []Claim) (Taken, error)
}

// Taken is one token of each limit of a Take.
type Taken interface {
	// GiveBack gives exactly the tokens back that were taken, as if they had never
	// been. It takes no context, because it has to happen when the client has gone,
	// too. A second call does nothing, nor does one for tokens that are older than
	// their windows. What cannot be given back stays taken.
	GiveBack()
}

// RefusedError is the error of a Take that at least one limit refused.
type RefusedError struct {
	// How long it takes until all limits that refused have a token, if nobody takes
	// one meanwhile. More than zero, and never longer than the longest of their
	// windows.
	Wait time.Duration

	// Which of the claims were refused, as ascending indexes.
	Limits []int
}

func (r *RefusedError) Error() string {
	return fmt.Sprintf("no token left for %s", r.Wait)
}
