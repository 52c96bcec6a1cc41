package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaDialect is the one that Cloud Controller itself validates with.
const schemaDialect = "http://json-schema.org/draft-04/schema#"

// mostAuthorities bounds a list: a token with more would not pass as a header,
// and an event with more would not fit a leaf of the audit log.
const mostAuthorities = 100

// schema is what the catalog publishes of a verb's parameters and what is
// enforced: both are made from the same bytes.
type schema struct {
	document []byte
	compiled *jsonschema.Schema
	keys     []string // the keys that are allowed, sorted
}

func newSchema(verb string, document map[string]any) (*schema, error) {
	marshalled, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("marshalling the schema of %s: %w", verb, err)
	}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(marshalled))
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", verb, err)
	}
	compiler := jsonschema.NewCompiler()
	url := "urn:airflow-identity:" + verb
	if err := compiler.AddResource(url, resource); err != nil {
		return nil, fmt.Errorf("adding the schema of %s: %w", verb, err)
	}
	compiled, err := compiler.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("compiling the schema of %s: %w", verb, err)
	}
	return &schema{marshalled, compiled, sortedKeys(document["properties"].(map[string]any))}, nil
}

// published gives the document anew each time, so that no reader of the catalog
// can change what another one sees.
func (s *schema) published() map[string]any {
	var document map[string]any
	if err := json.Unmarshal(s.document, &document); err != nil {
		panic(fmt.Sprintf("a schema that was marshalled here does not unmarshal: %v", err))
	}
	return document
}

func provisionDocument() map[string]any {
	return object(map[string]any{
		"authorities": authoritiesSchema("The most that any binding of this instance may hold. Without it: all that the plan allows."),
	})
}

// updateDocument allows no key: an instance cannot be updated yet.
func updateDocument() map[string]any { return object(map[string]any{}) }

func bindDocument() map[string]any {
	return object(map[string]any{
		"authorities": authoritiesSchema("What this identity may do. Without it: the instance's list, or else the plan's default."),
		"connection_id": map[string]any{
			"type":        "string",
			"description": "The name under which DAG code finds the connection. Without it: one made from the names of org and instance.",
			"pattern":     connectionGrammar,
			"minLength":   1,
			"maxLength":   longestConnectionID,
			"not": map[string]any{"anyOf": []any{
				map[string]any{"enum": []any{"test", "defaults"}},
				map[string]any{"pattern": `\.\.`},
			}},
		},
	})
}

func object(properties map[string]any) map[string]any {
	return map[string]any{
		"$schema":              schemaDialect,
		"type":                 "object",
		"additionalProperties": false,
		"properties":           properties,
	}
}

func authoritiesSchema(description string) map[string]any {
	return map[string]any{
		"type":        "array",
		"description": description,
		"items": map[string]any{
			"type":      "string",
			"pattern":   authorityGrammar,
			"maxLength": longestAuthority,
		},
		"minItems":    1,
		"maxItems":    mostAuthorities,
		"uniqueItems": true,
	}
}
