package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"airflow-identity/identity"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// largestParameters bounds what is looked at; a hundred of the longest
// authorities take a fifth of it.
const largestParameters = 64 << 10

// InstanceParameters are those of cf create-service.
type InstanceParameters struct {
	// Authorities is the instance's ceiling; nil if none was asked for.
	Authorities []identity.Authority `json:"authorities"`
	// Roles are space roles; no plan gives any without a Cloud Controller.
	Roles []string `json:"roles"`
	// RotationPeriod is the one that was asked for; 0 for the plan's.
	RotationPeriod Duration `json:"rotation_period"`
}

// UpdateParameters are those of cf update-service: what is named changes, all
// else stays as it is. Cloud Controller sends "{}" with every rename and every
// change of the plan, so leaving a key out cannot mean to take it away.
type UpdateParameters struct {
	InstanceParameters
	canonical []byte
}

// BindParameters are those of cf bind-service and cf create-service-key.
type BindParameters struct {
	// Authorities is what was asked for; nil if nothing was.
	Authorities []identity.Authority `json:"authorities"`
	Roles       []string             `json:"roles"`
	// TokenLifetime is the one that was asked for; 0 for the plan's.
	TokenLifetime Duration `json:"token_lifetime"`
	// ConnectionID is the one that was chosen; "" for the default.
	ConnectionID identity.ConnectionID `json:"connection_id"`
	// Airflow is nil where nothing was said: a connection is then registered.
	Airflow *bool `json:"airflow"`
	// AppClient asks for a client of the caller's own, that lives for ExpiresIn;
	// 0 for the longest that the plan allows.
	AppClient bool     `json:"app_client"`
	ExpiresIn Duration `json:"expires_in"`
}

func (p BindParameters) registers() bool { return p.Airflow == nil || *p.Airflow }

// ParseProvision reads the parameters of a provision. The canonical form is the
// same for requests that are identical: keys sorted, lists sorted as the sets
// that they are, "{}" for none. Any error is a *ParametersError.
func (c *Catalog) ParseProvision(raw json.RawMessage) (parameters InstanceParameters, canonical []byte, err error) {
	canonical, err = c.provision.parse(raw, &parameters)
	return parameters, canonical, err
}

// ParseUpdate reads the parameters of an update, as ParseProvision does.
func (c *Catalog) ParseUpdate(raw json.RawMessage) (parameters UpdateParameters, err error) {
	parameters.canonical, err = c.update.parse(raw, &parameters.InstanceParameters)
	return parameters, err
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

// over gives the parameters that an instance has after the update, in canonical
// form: those it had, with what is named here in their place.
func (p UpdateParameters) over(had []byte) ([]byte, error) {
	merged := map[string]json.RawMessage{}
	if len(had) > 0 {
		if err := json.Unmarshal(had, &merged); err != nil {
			return nil, fmt.Errorf("reading the parameters that the instance has: %w", err)
		}
	}
	if len(p.canonical) > 0 {
		var named map[string]json.RawMessage
		if err := json.Unmarshal(p.canonical, &named); err != nil {
			return nil, fmt.Errorf("reading the parameters of the update: %w", err)
		}
		maps.Copy(merged, named)
	}
	after, err := json.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("marshalling the parameters after the update: %w", err)
	}
	return after, nil
}
