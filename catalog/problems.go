package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// mostProblems is how many are spelt out in one sentence; more are counted.
const mostProblems = 10

// ParametersError says what is wrong with parameters before anybody asked
// whether they are allowed. Its text is for the one who sent them: it names keys
// and single authorities, shortened, and never holds a value of another kind.
type ParametersError struct{ Problems []Problem }

// Problem is one thing that is wrong.
type Problem struct {
	Rule    string // the guardrail's id, where it is one
	Message string
}

func invalid(message string) error { return &ParametersError{[]Problem{{Message: message}}} }

func (e *ParametersError) Error() string {
	var messages []string
	for i, p := range e.Problems {
		if i == mostProblems {
			messages = append(messages, fmt.Sprintf("and %d more", len(e.Problems)-i))
			break
		}
		message := p.Message
		if p.Rule != "" {
			message += " (rule " + p.Rule + ")"
		}
		messages = append(messages, message)
	}
	return "the parameters are not valid: " + strings.Join(messages, "; ")
}

// Rules are the ids of the guardrails that were broken.
func (e *ParametersError) Rules() []string {
	var rules []string
	for _, p := range e.Problems {
		if p.Rule != "" && !slices.Contains(rules, p.Rule) {
			rules = append(rules, p.Rule)
		}
	}
	return rules
}

// problems validates a document and says in words what is wrong with it.
func (s *schema) problems(document any) []Problem {
	err := s.compiled.Validate(document)
	if err == nil {
		return nil
	}
	var failure *jsonschema.ValidationError
	if !errors.As(err, &failure) {
		return []Problem{{Message: "they could not be validated"}}
	}
	found := leaves(failure, nil)
	slices.SortStableFunc(found, func(a, b *jsonschema.ValidationError) int {
		return compareLocations(a.InstanceLocation, b.InstanceLocation)
	})
	var problems []Problem
	for _, leaf := range found {
		for _, p := range s.describe(leaf, document) {
			// One string may break several keywords that one sentence covers.
			if !slices.Contains(problems, p) {
				problems = append(problems, p)
			}
		}
	}
	return problems
}

// leaves are the failures that say something by themselves. What is inside a
// "not" says nothing that the "not" does not.
func leaves(failure *jsonschema.ValidationError, found []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if _, not := failure.ErrorKind.(*kind.Not); not || len(failure.Causes) == 0 {
		return append(found, failure)
	}
	for _, cause := range failure.Causes {
		found = leaves(cause, found)
	}
	return found
}

// compareLocations orders by key, then by index as a number.
func compareLocations(a, b []string) int {
	return slices.CompareFunc(a, b, func(x, y string) int {
		i, iErr := strconv.Atoi(x)
		j, jErr := strconv.Atoi(y)
		if iErr == nil && jErr == nil {
			return i - j
		}
		return strings.Compare(x, y)
	})
}

func (s *schema) describe(leaf *jsonschema.ValidationError, document any) []Problem {
	at := leaf.InstanceLocation
	switch {
	case len(at) == 0:
		return s.describeObject(leaf)
	case at[0] == "authorities" && len(at) == 1:
		return []Problem{{Message: describeList(leaf, "authorities", `["orders.read"]`)}}
	case at[0] == "authorities":
		return []Problem{describeAuthority(at[1], document)}
	case at[0] == "roles" && len(at) == 1:
		return []Problem{{Message: describeList(leaf, "roles", `["space_auditor"]`)}}
	case at[0] == "roles":
		return []Problem{{Message: describeRole(at[1], document)}}
	case at[0] == "connection_id":
		return []Problem{{Message: describeConnectionID(leaf, document)}}
	case slices.Contains(durations, at[0]):
		return []Problem{{Message: describeDuration(at[0], document)}}
	case slices.Contains(booleans, at[0]):
		return []Problem{{Message: at[0] + " must be true or false, without quotes"}}
	default:
		return []Problem{{Message: quote(at[0]) + " is not valid"}}
	}
}

var (
	durations = []string{"rotation_period", "token_lifetime", "expires_in"}
	booleans  = []string{"airflow", "app_client"}
)

func (s *schema) describeObject(leaf *jsonschema.ValidationError) []Problem {
	allowed := "allowed: " + strings.Join(s.keys, ", ")
	if _, not := leaf.ErrorKind.(*kind.Not); not {
		return describeContradiction(leaf)
	}
	extra, ok := leaf.ErrorKind.(*kind.AdditionalProperties)
	if !ok {
		return []Problem{{Message: "they must be a JSON object (" + allowed + ")"}}
	}
	unknown := slices.Sorted(slices.Values(extra.Properties))
	if len(unknown) == 1 {
		return []Problem{{Message: quote(unknown[0]) + " is not a parameter here (" + allowed + ")"}}
	}
	return []Problem{{Message: quotes(unknown) + " are not parameters here (" + allowed + ")"}}
}

// describeContradiction finds which one it is by its place in the schema.
func describeContradiction(leaf *jsonschema.ValidationError) []Problem {
	for i, c := range contradictions {
		if strings.HasSuffix(leaf.SchemaURL, fmt.Sprintf("#/allOf/%d", i)) {
			return []Problem{{Message: c.sentence}}
		}
	}
	return []Problem{{Message: "they contradict each other"}}
}

func describeList(leaf *jsonschema.ValidationError, key, such string) string {
	switch k := leaf.ErrorKind.(type) {
	case *kind.MinItems:
		return key + " is empty: name at least one, or leave the key out"
	case *kind.MaxItems:
		return fmt.Sprintf("%s has %d entries, at most %d are allowed", key, k.Got, k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("%s[%d] repeats %s[%d]", key, max(k.Duplicates[0], k.Duplicates[1]), key, min(k.Duplicates[0], k.Duplicates[1]))
	default:
		return key + " must be a list of strings, such as " + such
	}
}

func describeAuthority(index string, document any) Problem {
	item, text := itemOf(document, "authorities", index)
	if !text {
		return Problem{Message: item + " must be a string"}
	}
	return Problem{
		Rule: RuleAuthorityGrammar,
		Message: fmt.Sprintf("%s is not one UAA authority: segments of a-z, 0-9, _ and - joined by dots, such as orders.read, "+
			"at most %d characters, one in each string", item, longestAuthority),
	}
}

func describeConnectionID(leaf *jsonschema.ValidationError, document any) string {
	if _, ok := leaf.ErrorKind.(*kind.Type); ok {
		return "connection_id must be a string"
	}
	value, _ := document.(map[string]any)["connection_id"].(string)
	return fmt.Sprintf(`connection_id %s cannot be used: 1 to %d characters of a-z, 0-9, _, . and -, the first one a letter, no "..", and neither test nor defaults`,
		quote(value), longestConnectionID)
}

// itemOf names an entry of a list and shows it, if it is a string.
func itemOf(document any, key, index string) (item string, text bool) {
	item = key + "[" + index + "]"
	if list, ok := document.(map[string]any)[key].([]any); ok {
		if i, err := strconv.Atoi(index); err == nil && i < len(list) {
			if value, ok := list[i].(string); ok {
				return item + " " + quote(value), true
			}
		}
	}
	return item, false
}

func describeRole(index string, document any) string {
	item, text := itemOf(document, "roles", index)
	if !text {
		return item + " must be a string"
	}
	return item + " is not a space role: there are " + strings.Join(spaceRoles, ", ")
}

func describeDuration(key string, document any) string {
	value, ok := document.(map[string]any)[key].(string)
	if !ok {
		return key + ` must be a string, such as "4h"`
	}
	return fmt.Sprintf("%s %s is not a duration that can be asked for: whole hours, minutes and seconds, more than none, such as 4h, 90m or 1h30m", key, quote(value))
}
