// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"net/http"
)

// wording is what xAI says with a status.
type wording struct{ code, message string }

var (
	noCredentials = wording{"unauthenticated:no-credentials", "No credentials presented."}

	wordings = map[int]wording{
		http.StatusUnauthorized:    noCredentials,
		http.StatusForbidden:       {"The caller does not have permission to execute the specified operation", "Your team has no credits left, or has been blocked."},
		http.StatusTooManyRequests: {"Too many requests", "You are sending requests too frequently"},
	}
)

// errorAnswer answers with the error that xAI would send with this status.
func errorAnswer(w http.ResponseWriter, status int) {
	const message = "The sandbox was told to answer like this."
	if words, ok := wordings[status]; ok {
		refuseWith(w, status, words)
		return
	}
	switch {
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		refuseBody(w, status, "invalid_argument", message)
	case status >= 520 && status <= 524: // Cloudflare's own, who is in front of xAI
		writeHTML(w, status)
	default:
		refuse(w, status, message)
	}
}

// refuseKey answers that nobody at xAI knows this API key: with 400, where one
// expects 401, and with the key's ends in the message.
func refuseKey(w http.ResponseWriter, key string) {
	masked := "***"
	if len(key) >= 8 {
		masked = key[:2] + masked + key[len(key)-2:]
	}
	refuseWith(w, http.StatusBadRequest, wording{
		"Client specified an invalid argument",
		"Incorrect API key provided: " + masked + ". You can obtain an API key from https://console.x.ai.",
	})
}

// refuse answers with the flat one of xAI's two shapes of an error, the one for
// whatever is decided before a request is understood: the key, the path, the
// method, a limit, a failure of xAI's own. Clients have to cope with both
// shapes, so the sandbox uses both.
func refuse(w http.ResponseWriter, status int, message string) {
	refuseWith(w, status, wording{http.StatusText(status), message})
}

func refuseWith(w http.ResponseWriter, status int, words wording) {
	writeJSON(w, status, map[string]string{"code": words.code, "error": words.message})
}

// refuseBody answers with the nested one of xAI's two shapes of an error, the one
// for a body that was understood well enough to say what is wrong with it.
func refuseBody(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{
		"error": map[string]string{
			"message": message,
			"type":    "invalid_request_error",
			"code":    code,
		},
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // only strings and numbers come here
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only for a client that is gone
}

// writeHTML answers as what stands in front of xAI does, or what is not xAI at all.
func writeHTML(w http.ResponseWriter, status int) {
	Answer(status, "<!DOCTYPE html>\n<title>Something is wrong</title>\n", "Content-Type", "text/html; charset=UTF-8")(w, nil, nil)
}
