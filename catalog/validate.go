package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	anID      = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,255}$`)
	aPlanName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)
)

// longestDescription is Cloud Controller's limit.
const longestDescription = 10_000

// validate checks the configuration and keeps what it parses on the way.
func (c *Catalog) validate() error {
	var problems []error
	if !anID.MatchString(c.offering.ID) {
		problems = append(problems, fmt.Errorf("offering: id %s must be 1 to 255 letters, digits, dots, hyphens, underscores or tildes, best a uuid", quote(c.offering.ID)))
	}
	if len(c.plans) == 0 {
		problems = append(problems, errors.New("plans: there must be at least one"))
	}
	for i := range c.plans {
		plan := &c.plans[i]
		for _, problem := range append(plan.validate(), c.clashes(i)...) {
			problems = append(problems, fmt.Errorf("plan %s: %w", plan.called(i), problem))
		}
	}
	return errors.Join(problems...)
}

// called names a plan in an error, also one that has no name.
func (p Plan) called(index int) string {
	if p.Name == "" {
		return fmt.Sprintf("number %d", index+1)
	}
	return p.Name
}

// clashes finds what a plan has in common with those before it and must not.
func (c *Catalog) clashes(index int) []error {
	var problems []error
	plan := c.plans[index]
	if string(plan.ID) == c.offering.ID {
		problems = append(problems, errors.New("id: is the offering's; ids are unique in the whole platform"))
	}
	for i, other := range c.plans[:index] {
		if other.ID == plan.ID {
			problems = append(problems, fmt.Errorf("id: plan %s has the same", other.called(i)))
		}
		if other.Name == plan.Name && plan.Name != "" {
			problems = append(problems, fmt.Errorf("name: plan number %d has the same", i+1))
		}
		if other.Environment == plan.Environment && other.ConnectionPrefix != plan.ConnectionPrefix {
			problems = append(problems, fmt.Errorf("connection_prefix: plan %s is of the same environment and has another", other.called(i)))
		}
	}
	return problems
}

func (p *Plan) validate() []error {
	var problems []error
	report := func(field, format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(field+": "+format, arguments...))
	}

	if !anID.MatchString(string(p.ID)) {
		report("id", "%s must be 1 to 255 letters, digits, dots, hyphens, underscores or tildes, best a uuid", quote(string(p.ID)))
	}
	if !aPlanName.MatchString(p.Name) {
		report("name", "%s must be 1 to 255 letters, digits, dots, hyphens or underscores", quote(p.Name))
	}
	if d := strings.TrimSpace(p.Description); d == "" || len(d) > longestDescription {
		report("description", "must be there and have at most %d characters", longestDescription)
	}
	if !aSegment.MatchString(string(p.Environment)) {
		report("environment", "%s must be a name of a-z, 0-9, _ and -", quote(string(p.Environment)))
	}
	problems = append(problems, p.validateTerms()...)
	if prefix := p.ConnectionPrefix; prefix != "" && (!aConnectionID.MatchString(prefix) || strings.Contains(prefix, "..") || len(prefix) > longestPrefix) {
		report("connection_prefix", `%s must be a-z, 0-9, _, . and -, begin with a letter, hold no ".." and have at most %d characters`, quote(prefix), longestPrefix)
	}
	if err := validateTeam(p.Team); err != nil {
		report("team", "%w", err)
	}

	var err error
	if p.template, err = parseText(p.ConnectionTemplate, connectionText); err != nil {
		report("connection_id", "%s: %w", quote(p.ConnectionTemplate), err)
	}
	p.authorities, p.connections = nil, nil
	for i, source := range p.Allow.Authorities {
		pattern, err := parseAuthorityPattern(source)
		if err != nil {
			report(fmt.Sprintf("allow.authorities[%d]", i), "%s: %w", quote(source), err)
			continue
		}
		p.authorities = append(p.authorities, pattern)
	}
	for i, source := range p.Allow.ConnectionIDs {
		pattern, err := parseConnectionPattern(source)
		if err != nil {
			report(fmt.Sprintf("allow.connection_ids[%d]", i), "%s: %w", quote(source), err)
			continue
		}
		p.connections = append(p.connections, pattern)
	}
	return append(problems, p.validateDefaults()...)
}

// validateTerms checks how long things last and how many there may be.
func (p *Plan) validateTerms() []error {
	var problems []error
	report := func(field, format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(field+": "+format, arguments...))
	}
	type term struct {
		field string
		is    time.Duration
	}
	terms := []term{
		{"token_lifetime.default", p.TokenLifetime.Default},
		{"token_lifetime.maximum", p.TokenLifetime.Maximum},
		{"rotation.period", p.Rotation.Period},
		{"rotation.minimum", p.Rotation.Minimum},
		{"rotation.maximum", p.Rotation.Maximum},
		{"maximum_polling_duration", p.MaximumPollingDuration},
	}
	if p.AppClient.Allowed {
		terms = append(terms, term{"app_client.maximum", p.AppClient.Maximum})
	}
	if p.Rotation.Soak != 0 {
		terms = append(terms, term{"rotation.soak", p.Rotation.Soak})
	}
	for _, t := range terms {
		if t.is < time.Second || t.is%time.Second != 0 {
			report(t.field, "%s must be whole seconds, at least one", t.is)
		}
	}
	if len(problems) > 0 {
		return problems
	}

	if p.TokenLifetime.Default > p.TokenLifetime.Maximum {
		report("token_lifetime.default", "%s is more than the maximum, %s", Duration(p.TokenLifetime.Default), Duration(p.TokenLifetime.Maximum))
	}
	// A token must not outlive the secret that it was fetched with.
	if soak := p.Rotation.shortestSoak(); p.TokenLifetime.Maximum > soak {
		report("token_lifetime.maximum", "%s is more than the soak of the shortest rotation period, %s: half of rotation.minimum, or rotation.soak", Duration(p.TokenLifetime.Maximum), Duration(soak))
	}
	if p.Rotation.Period < p.Rotation.Minimum || p.Rotation.Period > p.Rotation.Maximum {
		report("rotation.period", "%s is not within minimum and maximum, %s and %s", Duration(p.Rotation.Period), Duration(p.Rotation.Minimum), Duration(p.Rotation.Maximum))
	}
	if p.MaximumPollingDuration > longestPollingDuration {
		report("maximum_polling_duration", "%s is more than Cloud Controller ever polls, %s", Duration(p.MaximumPollingDuration), Duration(longestPollingDuration))
	}
	if p.Quota.InstancesPerSpace < 0 {
		report("quota.instances_per_space", "must not be negative; 0 is any number")
	}
	if p.Quota.BindingsPerInstance < 0 {
		report("quota.bindings_per_instance", "must not be negative; 0 is any number")
	}
	return problems
}

// validateDefaults holds a default to what a request is held to. It must be
// allowed everywhere: one that depends on a name would refuse those who asked
// for nothing, by a list that they have never seen.
func (p *Plan) validateDefaults() []error {
	var problems []error
	if len(p.DefaultAuthorities) > mostAuthorities {
		problems = append(problems, fmt.Errorf("default_authorities: has %d entries, at most %d are allowed", len(p.DefaultAuthorities), mostAuthorities))
	}
	for i, a := range p.DefaultAuthorities {
		report := func(format string, arguments ...any) {
			problems = append(problems, fmt.Errorf("default_authorities[%d]: %s %s", i, quote(string(a)), fmt.Sprintf(format, arguments...)))
		}
		switch {
		case !isAuthority(string(a)):
			report("is not an authority: segments of a-z, 0-9, _ and - joined by dots, at most %d characters", longestAuthority)
		case neverGrant(string(a)):
			report("is on the list of authorities that are never granted")
		case !p.allows(a, p.anywhere()):
			report("is not within allow.authorities for every org and space")
		case slices.Contains(p.DefaultAuthorities[:i], a):
			report("is there twice")
		}
	}
	return problems
}
