// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"net/http"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// HashPassword returns what a basic_auth block takes for a password.
func HashPassword(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// Credentials is the header by which a user signs in at basic_auth, as a name and
// a value.
func Credentials(user, password string) []string {
	req := http.Request{Header: make(http.Header)}
	req.SetBasicAuth(user, password)
	return []string{"Authorization", req.Header.Get("Authorization")}
}
