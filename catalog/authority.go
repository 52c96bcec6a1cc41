package catalog

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	authorityGrammar = `^[a-z0-9_-]+(\.[a-z0-9_-]+)+$`
	longestAuthority = 128
)

var (
	anAuthority = regexp.MustCompile(authorityGrammar)
	aSegment    = regexp.MustCompile(`^[a-z0-9_-]+$`)
)

// isAuthority tells whether a text is one authority: no comma, no space, no
// capital letter, at least two segments.
func isAuthority(text string) bool {
	return len(text) <= longestAuthority && anAuthority.MatchString(text)
}

// neverGranted are authorities that nobody gets, whatever a plan says: each is
// root of the platform or a step to it. "*" stands for any run of characters.
// The list is part of the program and cannot be configured away; UAA's own
// restricted endpoint is a second guard for its own scopes, but knows nothing
// of those of Cloud Controller, CredHub and BOSH.
var neverGranted = []string{
	"uaa.*",
	"clients.*",
	"scim.*",
	"idps.*",
	"sps.*",
	"zones.*",
	"oauth.*login",
	"password.write",
	"groups.update",
	"tokens.*",
	"cloud_controller.admin*",
	"cloud_controller.update_build_state",
	"network.admin",
	"routing.router_groups.write",
	"credhub.*",
	"bosh.*",
}

// neverGrant tells whether an authority is on the list, without regard to case.
// Asked of a pattern, it tells whether everything the pattern matches is on it.
func neverGrant(text string) bool {
	text = strings.ToLower(text)
	for _, never := range neverGranted {
		before, after, wild := strings.Cut(never, "*")
		if text == never || wild && len(text) >= len(before)+len(after) &&
			strings.HasPrefix(text, before) && strings.HasSuffix(text, after) {
			return true
		}
	}
	return false
}

// authorityPattern is one line of allow.authorities, segment by segment.
type authorityPattern struct {
	segments []text
	rest     bool // ends in "*": one or more segments more
}

func parseAuthorityPattern(pattern string) (authorityPattern, error) {
	var p authorityPattern
	parts := strings.Split(pattern, ".")
	if last := len(parts) - 1; parts[last] == "*" {
		p.rest = true
		parts = parts[:last]
	}
	if len(parts) == 0 || len(parts) == 1 && !p.rest {
		return p, fmt.Errorf("an authority has at least two segments, such as orders.read or orders.*")
	}

	var seen []placeholder
	for _, part := range parts {
		segment, err := parseText(part, aSegment)
		if err != nil {
			return p, err
		}
		if len(segment) != 1 {
			return p, fmt.Errorf("segment %s must be one word of a-z, 0-9, _ and -, or one placeholder", quote(part))
		}
		p.segments = append(p.segments, segment)
		seen = append(seen, segment.placeholders()...)
	}
	// A space's name is chosen by any org manager, an instance's by any
	// developer: neither says anything without what it is in.
	if err := inOrder(seen, map[placeholder][]placeholder{
		placeSpace:    {placeOrg},
		placeInstance: {placeOrg, placeSpace},
	}); err != nil {
		return p, err
	}
	if len(seen) == 0 && neverGrant(pattern) {
		return p, fmt.Errorf("everything it matches is on the list of authorities that are never granted")
	}
	return p, nil
}

// matches tells whether an authority, one by its grammar, is allowed at a place.
func (p authorityPattern) matches(authority string, at values) bool {
	parts := strings.Split(authority, ".")
	if len(parts) < len(p.segments) || len(parts) == len(p.segments) == p.rest {
		return false
	}
	for i, segment := range p.segments {
		want, ok := segment.exactly(at)
		if !ok || parts[i] != want {
			return false
		}
	}
	return true
}

// at shows the pattern as it reads at a place; false if it matches nothing there.
func (p authorityPattern) at(at values) (string, bool) {
	var parts []string
	for _, segment := range p.segments {
		part, ok := segment.exactly(at)
		if !ok {
			return "", false
		}
		parts = append(parts, part)
	}
	if p.rest {
		parts = append(parts, "*")
	}
	return strings.Join(parts, "."), true
}
