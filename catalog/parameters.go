package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"airflow-identity/identity"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// largestParameters bounds what is looked at; a hundred of the longest
// authorities take a fifth of it.
const largestParameters = 64 << 10

// ProvisionParameters are those of cf create-service.
type ProvisionParameters struct {
	// Authorities is the instance's ceiling; nil if none was asked for.
	Authorities []identity.Authority `json:"authorities"`
}

// BindParameters are those of cf bind-service and cf create-service-key.
type BindParameters struct {
	// Authorities is what was asked for; nil if nothing was.
	Authorities []identity.Authority `json:"authorities"`
	// ConnectionID is the one that was chosen; "" for the default.
	ConnectionID identity.ConnectionID `json:"connection_id"`
}

// ParseProvision reads the parameters of a provision. The canonical form is the
// same for requests that are identical: keys sorted, lists sorted as the sets
// that they are, "{}" for none. Any error is a *ParametersError.
func (c *Catalog) ParseProvision(raw json.RawMessage) (parameters ProvisionParameters, canonical []byte, err error) {
	canonical, err = c.provision.parse(raw, &parameters)
	return parameters, canonical, err
}

// ParseBind reads the parameters of a bind, as ParseProvision does.
func (c *Catalog) ParseBind(raw json.RawMessage) (parameters BindParameters, canonical []byte, err error) {
	canonical, err = c.bind.parse(raw, &parameters)
	return parameters, canonical, err
}

func (s *schema) parse(raw json.RawMessage, into any) (canonical []byte, err error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return []byte("{}"), nil
	}
	if len(raw) > largestParameters {
		return nil, invalid(fmt.Sprintf("they are larger than %d KiB", largestParameters>>10))
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, invalid("they are not valid JSON")
	}
	if problems := s.problems(document); len(problems) > 0 {
		return nil, &ParametersError{problems}
	}

	// What goes on from here is read from the canonical form, so what is judged
	// is what was validated, whatever the request's bytes look like.
	if canonical, err = json.Marshal(asSets(document)); err != nil {
		return nil, invalid("they are not valid JSON")
	}
	if err := json.Unmarshal(canonical, into); err != nil {
		return nil, invalid("they are not valid JSON")
	}
	return canonical, nil
}

// asSets sorts every list in a document that the schema has passed: all lists
// there are sets of strings.
func asSets(document any) any {
	for _, value := range document.(map[string]any) {
		if list, ok := value.([]any); ok {
			slices.SortFunc(list, func(a, b any) int { return bytes.Compare([]byte(a.(string)), []byte(b.(string))) })
		}
	}
	return document
}
