package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"airflow-identity/identity"
)

// Place is where an instance lives, by what the platform told of the instance's
// own org and space, never of the caller's.
type Place struct {
	Org      identity.OrgGUID
	Space    identity.SpaceGUID
	Instance identity.InstanceGUID
	Names    identity.Names
}

// PlaceOf is the place of an instance that exists, by the names last told.
func PlaceOf(i identity.Instance) Place {
	return Place{Org: i.Org, Space: i.Space, Instance: i.GUID, Names: i.Names}
}

// placeholder is a word between double braces.
type placeholder string

const (
	placeEnvironment placeholder = "environment"
	placeOrg         placeholder = "org"
	placeSpace       placeholder = "space"
	placeInstance    placeholder = "instance"
	placeOrgGUID     placeholder = "org_guid"
	placeSpaceGUID   placeholder = "space_guid"
)

var placeholders = []placeholder{placeEnvironment, placeOrg, placeSpace, placeInstance, placeOrgGUID, placeSpaceGUID}

// values are what placeholders stand for at one place.
type values map[placeholder]string

func (p Plan) valuesAt(place Place) values {
	return values{
		placeEnvironment: string(p.Environment),
		placeOrg:         place.Names.Org,
		placeSpace:       place.Names.Space,
		placeInstance:    place.Names.Instance,
		placeOrgGUID:     string(place.Org),
		placeSpaceGUID:   string(place.Space),
	}
}

// anywhere is what is known without a place: whatever is allowed so is allowed
// to everybody who may use the plan.
func (p Plan) anywhere() values { return values{placeEnvironment: string(p.Environment)} }

// text is a template or a part of a pattern: literals and placeholders.
type text []piece

// piece is either a literal or a placeholder.
type piece struct {
	literal     string
	placeholder placeholder
}

var aPlaceholder = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// parseText splits a text at its placeholders. Every literal must be of the
// given grammar.
func parseText(source string, grammar *regexp.Regexp) (text, error) {
	var t text
	literal := func(s string) error {
		if s == "" {
			return nil
		}
		if !grammar.MatchString(s) {
			return fmt.Errorf("%s holds a character that cannot be there", quote(s))
		}
		t = append(t, piece{literal: s})
		return nil
	}
	start := 0
	for _, at := range aPlaceholder.FindAllStringIndex(source, -1) {
		if err := literal(source[start:at[0]]); err != nil {
			return nil, err
		}
		name := placeholder(source[at[0]+2 : at[1]-2])
		if !slices.Contains(placeholders, name) {
			return nil, fmt.Errorf("{{%s}} is not a placeholder (there are %s)", name, known())
		}
		t = append(t, piece{placeholder: name})
		start = at[1]
	}
	return t, literal(source[start:])
}

func known() string {
	var names []string
	for _, p := range placeholders {
		names = append(names, "{{"+string(p)+"}}")
	}
	return strings.Join(names, ", ")
}

func (t text) placeholders() []placeholder {
	var found []placeholder
	for _, p := range t {
		if p.placeholder != "" {
			found = append(found, p.placeholder)
		}
	}
	return found
}

// inOrder tells whether each placeholder has those before it that it needs.
func inOrder(seen []placeholder, needs map[placeholder][]placeholder) error {
	for i, p := range seen {
		for _, need := range needs[p] {
			if !slices.Contains(seen[:i], need) {
				return fmt.Errorf("{{%s}} may only stand after {{%s}}", p, need)
			}
		}
	}
	return nil
}

// exactly gives what the text says at a place, each name as it is. A name that
// is not told, or not a segment by itself, says nothing that can be compared.
func (t text) exactly(at values) (string, bool) {
	var b strings.Builder
	for _, p := range t {
		value := p.literal
		if p.placeholder != "" {
			value = at[p.placeholder]
			if !aSegment.MatchString(value) {
				return "", false
			}
		}
		b.WriteString(value)
	}
	return b.String(), true
}
