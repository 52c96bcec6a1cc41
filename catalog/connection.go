package catalog

import (
	"fmt"
	"regexp"
	"strings"

	"airflow-identity/identity"
)

const (
	connectionGrammar   = `^[a-z][a-z0-9_.-]*$`
	longestConnectionID = 200
	// longestPrefix leaves room for something after it.
	longestPrefix = 100
	// guidInID is how much of a guid stands for a name that was not told.
	guidInID = 8
)

var (
	aConnectionID   = regexp.MustCompile(connectionGrammar)
	connectionText  = regexp.MustCompile(`^[a-z0-9_.-]+$`)
	notInConnection = regexp.MustCompile(`[^a-z0-9_.-]`)
)

// isConnectionID tells whether a text can be a connection id. "test" and
// "defaults" are paths of Airflow's REST API, ".." one of its routers'.
func isConnectionID(id string) bool {
	return len(id) <= longestConnectionID && aConnectionID.MatchString(id) &&
		!strings.Contains(id, "..") && id != "test" && id != "defaults"
}

// DefaultConnectionBase is the connection id that a binding gets if it names
// none: the plan's template, mapped, with the environment's prefix before it. It
// may be longer than Airflow takes; the core cuts it and tells ids that meet
// apart by a suffix.
func (p Plan) DefaultConnectionBase(place Place) identity.ConnectionID {
	id := singleDots(p.ConnectionPrefix + p.template.mapped(p.valuesAt(place).named(place)))
	if !aConnectionID.MatchString(id) || id == "test" || id == "defaults" {
		id = "c_" + id
	}
	return identity.ConnectionID(id)
}

// named puts the beginning of its guid where a name was not told.
func (v values) named(place Place) values {
	for name, guid := range map[placeholder]string{
		placeOrg:      string(place.Org),
		placeSpace:    string(place.Space),
		placeInstance: string(place.Instance),
	} {
		if v[name] == "" {
			v[name] = guid[:min(guidInID, len(guid))]
		}
	}
	return v
}

// mapped gives what the text says, every name made of characters that an id may
// have: lower case, and "_" for any other.
func (t text) mapped(at values) string {
	var b strings.Builder
	for _, p := range t {
		if p.placeholder == "" {
			b.WriteString(p.literal)
			continue
		}
		b.WriteString(notInConnection.ReplaceAllString(strings.ToLower(at[p.placeholder]), "_"))
	}
	return singleDots(b.String())
}

func singleDots(id string) string { return strings.ReplaceAll(id, "..", "._") }

// connectionPattern is one line of allow.connection_ids.
type connectionPattern struct {
	text text
	rest bool // ends in "*": one or more characters more
}

func parseConnectionPattern(pattern string) (connectionPattern, error) {
	var p connectionPattern
	source, rest := strings.CutSuffix(pattern, "*")
	p.rest = rest
	if source == "" {
		return p, fmt.Errorf("a pattern that matches every id is not allowed: let it begin with something, such as orders_*")
	}
	if strings.Contains(source, "*") {
		return p, fmt.Errorf(`"*" may only stand last`)
	}
	if rest && !strings.ContainsAny(source[len(source)-1:], "_.-") {
		return p, fmt.Errorf(`"*" may only stand after "_", "." or "-", or else one team's name is the beginning of another's`)
	}
	parsed, err := parseText(source, connectionText)
	if err != nil {
		return p, err
	}
	p.text = parsed
	return p, inOrder(parsed.placeholders(), map[placeholder][]placeholder{
		placeSpace:    {placeOrg},
		placeInstance: {placeOrg},
	})
}

// matches tells whether an id, without the environment's prefix, is allowed.
func (p connectionPattern) matches(id string, at values) bool {
	said := p.text.mapped(at)
	if p.rest {
		return len(id) > len(said) && strings.HasPrefix(id, said)
	}
	return id == said
}

func (p connectionPattern) at(at values) string {
	if p.rest {
		return p.text.mapped(at) + "*"
	}
	return p.text.mapped(at)
}
