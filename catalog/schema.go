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

// spaceRoles are Cloud Foundry's.
var spaceRoles = []string{"space_auditor", "space_developer", "space_manager", "space_supporter"}

func provisionDocument() map[string]any {
	return object(map[string]any{
		"authorities":     authoritiesSchema("The most that any binding of this instance may hold. Without it: all that the plan allows."),
		"roles":           rolesSchema("The most space roles that any binding of this instance may hold, in the instance's own space. Without it: none."),
		"rotation_period": durationSchema("How often secrets are replaced, within the plan's minimum and maximum. Without it: the plan's period."),
	})
}

// updateDocument has the keys of a provision, and what is left out stays.
func updateDocument() map[string]any {
	return object(map[string]any{
		"authorities":     authoritiesSchema("The most that any binding of this instance may hold from now on. Live identities are narrowed to it at once. Without it: as it is."),
		"roles":           rolesSchema("The most space roles that any binding of this instance may hold from now on. Without it: as it is."),
		"rotation_period": durationSchema("How often secrets are replaced from now on, within the plan's minimum and maximum. Without it: as it is."),
	})
}

func bindDocument() map[string]any {
	document := object(map[string]any{
		"authorities":    authoritiesSchema("What this identity may do. Without it: the instance's list, or else the plan's default."),
		"roles":          rolesSchema("The space roles of this identity, in the instance's own space. Without it: none."),
		"token_lifetime": durationSchema("How long access tokens live, up to the plan's maximum. Without it: the plan's default."),
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
		"airflow":    booleanSchema(true, "Whether a connection is registered in Airflow. If it is false, app_client must be true."),
		"app_client": booleanSchema(false, "Whether the credentials hold a client of the caller's own, with its secret."),
		"expires_in": durationSchema("How long the client of the caller's own lives, up to the plan's maximum. Without it: the plan's maximum."),
	})
	var never []any
	for _, c := range contradictions {
		never = append(never, map[string]any{"not": c.schema})
	}
	document["allOf"] = never
	return document
}

// contradiction is a set of parameters that say something together that cannot
// be meant.
type contradiction struct {
	schema   map[string]any
	sentence string
}

// contradictions stand in the schema of bind as its allOf, in this order.
var contradictions = []contradiction{
	{both(saying("airflow", false), lacking("app_client", true)),
		"airflow is false and app_client is not true, so nothing would be made: send app_client true as well, or leave airflow out"},
	{both(saying("airflow", false), map[string]any{"required": []any{"connection_id"}}),
		"connection_id is given although airflow is false: no connection is registered then, so leave one of the two out"},
	{both(map[string]any{"required": []any{"expires_in"}}, lacking("app_client", true)),
		"expires_in is given although app_client is not true: it is that client's life, so send app_client true or leave expires_in out"},
}

func both(a, b map[string]any) map[string]any { return map[string]any{"allOf": []any{a, b}} }

func saying(key string, value any) map[string]any {
	return map[string]any{
		"required":   []any{key},
		"properties": map[string]any{key: map[string]any{"enum": []any{value}}},
	}
}

func lacking(key string, value any) map[string]any {
	return map[string]any{"not": saying(key, value)}
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

func rolesSchema(description string) map[string]any {
	roles := make([]any, len(spaceRoles))
	for i, role := range spaceRoles {
		roles[i] = role
	}
	return map[string]any{
		"type":        "array",
		"description": description,
		"items":       map[string]any{"type": "string", "enum": roles},
		"maxItems":    len(spaceRoles),
		"uniqueItems": true,
	}
}

func durationSchema(description string) map[string]any {
	return map[string]any{
		"type":        "string",
		"description": description + " Such as 4h, 90m or 1h30m.",
		"pattern":     durationGrammar,
		"maxLength":   longestDuration,
		"not":         map[string]any{"pattern": noDuration},
	}
}

func booleanSchema(value bool, description string) map[string]any {
	return map[string]any{"type": "boolean", "description": description, "default": value}
}
