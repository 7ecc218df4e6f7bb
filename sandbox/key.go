// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/subtle"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

const misbehavingPrefix = "xai-sandbox-"

var misbehavingStatus = regexp.MustCompile(`^([45]\d\d)(?:-after-(\d{1,9}))?$`)

// misbehavior returns what happens to every request with this key, or nil. It is
// for people who want to see how their site copes, and change nothing but the key.
func misbehavior(key string) Fault {
	name, ok := strings.CutPrefix(key, misbehavingPrefix)
	if !ok {
		return nil
	}
	switch name {
	case "hang":
		return Hang()
	case "reset":
		return Break()
	case "garbage":
		return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { writeHTML(w, http.StatusOK) }
	}
	match := misbehavingStatus.FindStringSubmatch(name)
	if match == nil {
		return unknownKey(key) // a typo must not look like a key that works
	}
	status, err := strconv.Atoi(match[1])
	if err != nil {
		panic(err) // the pattern has three digits
	}
	return func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		if after := match[2]; after != "" {
			w.Header().Set("Retry-After", after)
		}
		if status == http.StatusBadRequest {
			refuseKey(w, key) // what else a 400 can be about is not the key's doing
			return
		}
		Status(status)(w, r, mint)
	}
}

func unknownKey(key string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { refuseKey(w, key) }
}

// bearer returns the credential of the Authorization header, or nothing.
func bearer(r *http.Request) string {
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(credential)
}

func (s *Server) isAPIKey(key string) bool {
	return s.APIKey != "" && subtle.ConstantTimeCompare([]byte(key), []byte(s.APIKey)) == 1
}
