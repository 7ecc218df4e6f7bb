// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
)

// clientError is what an error event says about a mistake of the client.
type clientError struct {
	kind    string // one of xAI's types
	code    string
	message string
	param   string // the field in question, if it is one
}

const (
	invalidEvent   = "invalid_event" // an event that the server does not take
	invalidRequest = "invalid_request_error"
)

func (e *clientError) Error() string { return e.message }

// object returns the error of an event; cause is the id of the client's event.
func (e *clientError) object(cause string) event {
	return event{
		"type":     e.kind,
		"code":     e.code,
		"message":  e.message,
		"param":    orNull(e.param),
		"event_id": orNull(cause),
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func invalid(param, message string) error {
	return &clientError{invalidRequest, "invalid_value", message, param}
}

func missing(param string) error {
	return &clientError{invalidRequest, "missing_field", param + " is missing.", param}
}

// outOfTurn is about an event that is fine, at another time.
func outOfTurn(code, message string) error {
	return &clientError{invalidRequest, code, message, ""}
}

// asClientError makes of any error one that a client can be told.
func asClientError(err error) *clientError {
	if problem, ok := errors.AsType[*clientError](err); ok {
		return problem
	}
	return &clientError{invalidEvent, "invalid_json", "The message is not the JSON of an event: " + err.Error(), ""}
}

// decode reads the fields of an event that the sandbox knows. Others are let by,
// since xAI's protocol has many more than the sandbox.
func decode(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	if mismatch.Field == "" {
		return &clientError{invalidEvent, "invalid_type", "An event is a JSON object.", ""}
	}
	return &clientError{invalidRequest, "invalid_type", fmt.Sprintf("%s has the wrong type, %s.", mismatch.Field, mismatch.Value), mismatch.Field}
}
