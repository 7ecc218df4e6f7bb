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
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param"` // the field in question, if it is one
}

func (e *clientError) Error() string { return e.Message }

var errBinary error = &clientError{Code: "invalid_frame", Message: "Events are JSON in text frames; sound travels in them as base64."}

func missing(param string) error {
	return &clientError{"missing_field", param + " is missing.", param}
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
		return &clientError{Code: "invalid_type", Message: "An event is a JSON object."}
	}
	return &clientError{"invalid_type", fmt.Sprintf("%s has the wrong type, %s.", mismatch.Field, mismatch.Value), mismatch.Field}
}
