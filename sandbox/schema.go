// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import "encoding/json"

// schema is what the sandbox understands of a JSON schema.
type schema struct {
	Type       json.RawMessage   `json:"type"` // a string, or a list of them
	Const      any               `json:"const"`
	Default    any               `json:"default"`
	Enum       []any             `json:"enum"`
	AnyOf      []schema          `json:"anyOf"`
	OneOf      []schema          `json:"oneOf"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Items      *schema           `json:"items"`
	MinItems   int               `json:"minItems"`
	Minimum    float64           `json:"minimum"`
}

// example returns a value that fits the schema, as far as the sandbox understands
// it. The value of an object has what is required.
func (s *schema) example() any {
	switch {
	case s.Const != nil:
		return s.Const
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AnyOf) > 0:
		return s.AnyOf[0].example()
	case len(s.OneOf) > 0:
		return s.OneOf[0].example()
	}
	switch s.firstType() {
	case "string":
		return "sandbox"
	case "number", "integer":
		return max(1, s.Minimum)
	case "boolean":
		return true
	case "null":
		return nil
	case "array":
		values := []any{}
		for range min(s.MinItems, 10) {
			if s.Items != nil {
				values = append(values, s.Items.example())
			}
		}
		return values
	default:
		object := map[string]any{}
		for _, name := range s.Required {
			property := s.Properties[name]
			object[name] = property.example()
		}
		return object
	}
}

func (s *schema) firstType() string {
	var one string
	if json.Unmarshal(s.Type, &one) == nil {
		return one
	}
	var several []string
	if json.Unmarshal(s.Type, &several) == nil && len(several) > 0 {
		return several[0]
	}
	return ""
}
