// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http/httpguts"
)

const (
	subprotocolPrefix = "xai-client-secret."

	maxMessage   = 1 << 20
	writeTimeout = 10 * time.Second
	pingInterval = 15 * time.Second
)

// realtime opens a session for whoever brings a token or the API key.
func (s *Server) realtime(w http.ResponseWriter, r *http.Request) {
	// A request that cannot become a WebSocket must not cost a token.
	if !isHandshake(w, r) {
		return
	}
	subprotocol := tokenSubprotocol(r)
	if !s.mayConverse(w, r, subprotocol) {
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol},
		// Pages of any origin may connect: it is the token that authorizes them,
		// and unlike a cookie no browser sends it by itself.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }() // fails if it was closed already
	conn.SetReadLimit(maxMessage)

	query := r.URL.Query()
	s.converse(r.Context(), conn, query.Get("model"), s.conversations.begin(query.Get("conversation_id")))
}

// mayConverse reports whether r brings what opens a session, and answers it if not.
func (s *Server) mayConverse(w http.ResponseWriter, r *http.Request, subprotocol string) bool {
	credential := bearer(r)
	if fault := misbehavior(credential); fault != nil {
		fault(w, r, nil)
		return false
	}
	if s.isAPIKey(credential) {
		return true
	}
	if credential == "" {
		credential = strings.TrimPrefix(subprotocol, subprotocolPrefix)
	}
	switch {
	case credential == "":
		refuseWith(w, http.StatusUnauthorized, noCredentials)
	case !strings.HasPrefix(credential, valuePrefix):
		refuseKey(w, credential)
	case !s.redeem(credential):
		refuse(w, http.StatusUnauthorized, "A session needs a token that is known, unused and not expired.")
	default:
		return true
	}
	return false
}

// isHandshake reports whether r asks for a WebSocket, and answers it if not.
// Accept would refuse the same requests, but not in JSON.
func isHandshake(w http.ResponseWriter, r *http.Request) bool {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "A WebSocket is opened with GET.")
	case !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade"),
		!httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket"):
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		refuse(w, http.StatusUpgradeRequired, "This path is a WebSocket.")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		refuse(w, http.StatusBadRequest, "The version of the WebSocket protocol must be 13.")
	case err != nil || len(key) != 16:
		refuse(w, http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64.")
	default:
		return true
	}
	return false
}

// tokenSubprotocol returns the subprotocol that carries a token, or nothing. It
// must be selected in the answer, or a browser closes the connection.
func tokenSubprotocol(r *http.Request) string {
	for _, header := range r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(header, ",") {
			if name = strings.TrimSpace(name); strings.HasPrefix(name, subprotocolPrefix) {
				return name
			}
		}
	}
	return ""
}

// converse holds a session until one side ends it. Everything but reading happens
// in this one goroutine, so a session needs no locks and its writes never mix.
func (s *Server) converse(ctx context.Context, conn *websocket.Conn, model string, kept conversation) {
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan message)
	go func() {
		defer close(messages)
		receive(ctx, conn, messages)
	}()
	defer func() {
		cancel()
		for range messages { // until the reader is gone
		}
	}()

	write := func(kind websocket.MessageType, data []byte) {
		ctx, stop := context.WithTimeout(ctx, writeTimeout)
		defer stop()
		if err := conn.Write(ctx, kind, data); err != nil {
			cancel() // a client that takes too long is as good as gone
		}
	}
	voice := newSession(client{
		hearEvent: func(event any) { write(websocket.MessageText, encode(event)) },
		hearSound: func(sound []byte) { write(websocket.MessageBinary, sound) },
	}, model, kept)
	defer voice.close()
	voice.open()

	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for ctx.Err() == nil {
		select {
		case m, open := <-messages:
			if !open {
				return
			}
			voice.receive(m.kind == websocket.MessageText, m.data)
		case <-voice.next.C:
			voice.speak()
		case <-voice.idle.C:
			voice.speakUp()
		case <-ping.C:
			voice.ping()
		case <-s.unloaded:
			_ = conn.Close(websocket.StatusGoingAway, "the sandbox is shutting down") // it ends either way
			return
		case <-ctx.Done():
		}
	}
}

type message struct {
	kind websocket.MessageType
	data []byte
}

// receive passes on what the client sends until it leaves or ctx ends.
func receive(ctx context.Context, conn *websocket.Conn, messages chan<- message) {
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		select {
		case messages <- message{kind, data}:
		case <-ctx.Done():
			return
		}
	}
}

func encode(event any) []byte {
	data, err := json.Marshal(event)
	if err != nil {
		panic(err) // it consists of strings and numbers, and of what came as JSON
	}
	return data
}
