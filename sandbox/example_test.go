// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// A sandbox that is out of order once, and then works.
func ExampleServer_Script() {
	xai := new(sandbox.Server)
	xai.Script(sandbox.Status(http.StatusTooManyRequests, "Retry-After", "2"))
	server := httptest.NewServer(xai)
	defer server.Close()

	for range 2 {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/v1/realtime/client_secrets", strings.NewReader(`{}`))
		if err != nil {
			panic(err)
		}
		r.Header.Set("Authorization", "Bearer any-key")
		r.Header.Set("Content-Type", "application/json")
		response, err := server.Client().Do(r)
		if err != nil {
			panic(err)
		}
		response.Body.Close()
		fmt.Println(response.Status, response.Header.Get("Retry-After"))
	}
	// Output:
	// 429 Too Many Requests 2
	// 200 OK
}
