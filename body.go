// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"io"
	"net/http"
	"time"
)

// bodyGrace is how long an answer waits for the rest of a request's body.
const bodyGrace = 250 * time.Millisecond

// discardBody reads the request's body in the background and throws it away:
// over HTTP/1 Go notices that a client is gone only once the body was read. The
// function that it returns ends the reading. Until then nothing of the request's
// body or of the response may be touched, its headers included, and no placeholder
// be expanded, which could do either: who bounds the size of bodies sets headers
// when one is too large. Without finish, a client that announces a body and never
// sends it would hold its answer up until the connection times out.
func discardBody(w http.ResponseWriter, r *http.Request) (finish func()) {
	if r.ProtoMajor != 1 || r.Body == nil || r.ContentLength == 0 {
		return func() {}
	}
	discarded := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r.Body)
		discarded <- err
	}()
	return func() {
		// Error routes get the same request, and a proxy there would send on the
		// length of a body that is gone.
		defer func() { r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil }()

		control := http.NewResponseController(w)
		select {
		case err := <-discarded:
			if err == nil {
				return
			}
		default:
			_ = control.SetReadDeadline(time.Now().Add(bodyGrace))
			if err := <-discarded; err == nil {
				// Once the body is read, Go watches the connection for its end, and
				// would take the deadline for it.
				_ = control.SetReadDeadline(time.Time{})
				return
			}
		}
		// What is left of the body is not waited for, so the connection cannot
		// serve another request.
		_ = control.SetReadDeadline(time.Now())
		w.Header().Set("Connection", "close")
	}
}
