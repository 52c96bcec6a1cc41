package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"airflow-identity/identity"
)

// The ids of the guardrails. They stand in answers, in events and in what
// explains a decision.
const (
	RuleAuthorityGrammar    = "authority-grammar"
	RuleNeverGrant          = "never-grant"
	RuleInstanceAuthorities = "instance-authorities"
	RulePlanAuthorities     = "plan-authorities"
	RulePlanConnectionIDs   = "plan-connection-ids"
	RulePlanRoles           = "plan-roles"
	RulePlanTokenLifetime   = "plan-token-lifetime"
	RulePlanAppClient       = "plan-app-client"
	RulePlanRotation        = "plan-rotation-period"
	RulePlanEnvironment     = "plan-environment"
	RulePlanRetired         = "plan-retired"
)

// NotAllowedError says which guardrails a request has run into, all of them at
// once, and what they would have let through.
type NotAllowedError struct{ Violations []Violation }

// Violation is one guardrail's answer.
type Violation struct {
	Rule    string
	Message string
}

func (e *NotAllowedError) Error() string {
	messages := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		messages[i] = v.Message + " (rule " + v.Rule + ")"
	}
	return "not allowed: " + strings.Join(messages, "; ")
}

// Rules are the ids of the guardrails that were broken.
func (e *NotAllowedError) Rules() []string {
	rules := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		rules[i] = v.Rule
	}
	return rules
}

// JudgeProvision decides on an instance's ceiling. Nil stays nil: no ceiling
// beyond the plan's allow-list.
func (p Plan) JudgeProvision(place Place, asked InstanceParameters) (ceiling []identity.Authority, err error) {
	violations := p.judgeRetired("an instance")
	violations = append(violations, p.judgeAuthorities(p.valuesAt(place), nil, asked.Authorities)...)
	violations = append(violations, p.judgeRoles(asked.Roles)...)
	violations = append(violations, p.judgeRotation(time.Duration(asked.RotationPeriod))...)
	if err := refuse(violations); err != nil {
		return nil, err
	}
	return asSet(asked.Authorities), nil
}

// JudgeBind decides what a binding of an instance gets: what was asked for, else
// the instance's list, else the plan's default; within the instance's list and
// within the plan's, or nothing. It is pure, and judges by the instance's row. A
// connection of the instance's own that it joins has been judged when it was made.
func (p Plan) JudgeBind(instance identity.Instance, asked BindParameters, joins bool) (identity.Grant, error) {
	at := p.valuesAt(PlaceOf(instance))
	authorities := p.list(instance.Ceiling, asked.Authorities)

	violations := p.judgeRetired("a binding")
	violations = append(violations, p.judgeAuthorities(at, instance.Ceiling, authorities)...)
	violations = append(violations, p.judgeRoles(asked.Roles)...)
	violations = append(violations, p.judgeTokenLifetime(time.Duration(asked.TokenLifetime))...)
	violations = append(violations, p.judgeAppClient(asked)...)
	if !joins {
		violations = append(violations, p.judgeConnection(at, instance, asked.ConnectionID)...)
	}
	var team identity.Team
	if asked.registers() && !joins {
		var refused []Violation
		team, refused = p.teamAt(at)
		violations = append(violations, refused...)
	}
	if len(authorities) == 0 {
		return identity.Grant{}, p.nothing(at, instance, violations)
	}
	if err := refuse(violations); err != nil {
		return identity.Grant{}, err
	}

	grant := identity.Grant{
		Asked:         asSet(asked.Authorities),
		Authorities:   asSet(authorities),
		TokenLifetime: p.TokenLifetime.Default,
		Airflow:       asked.registers(),
		AppClient:     asked.AppClient,
		Period:        p.PeriodOf(instance),
		Soak:          p.SoakOf(instance),
		Team:          team,
	}
	if asked.TokenLifetime != 0 {
		grant.TokenLifetime = time.Duration(asked.TokenLifetime)
	}
	if asked.AppClient {
		grant.ExpiresIn = p.AppClient.Maximum
		if asked.ExpiresIn != 0 {
			grant.ExpiresIn = time.Duration(asked.ExpiresIn)
		}
	}
	return grant, nil
}

// list is what a binding holds: what was asked for, else the instance's list,
// else the plan's default.
func (p Plan) list(ceiling, asked []identity.Authority) []identity.Authority {
	switch {
	case asked != nil:
		return asked
	case ceiling != nil:
		return ceiling
	default:
		return p.DefaultAuthorities
	}
}

// nothing refuses a bind that would hold nothing, with the list of what may be
// asked and with whatever else is in the way.
func (p Plan) nothing(at values, instance identity.Instance, violations []Violation) error {
	problems := []Problem{{Message: fmt.Sprintf(
		"authorities is missing, and neither this instance nor plan %s has a default: ask for some of %s", p.Name, listed(p.may(at, instance.Ceiling)))}}
	for _, v := range violations {
		problems = append(problems, Problem(v))
	}
	return &ParametersError{problems}
}

func (p Plan) judgeRetired(what string) []Violation {
	if !p.Retired {
		return nil
	}
	return []Violation{{RulePlanRetired, fmt.Sprintf(
		"plan %s is retired: what was made of it goes on working, but %s cannot be made of it any more, so use another plan", p.Name, what)}}
}

// judgeRoles refuses every role: without a Cloud Controller nobody could assign it.
func (p Plan) judgeRoles(asked []string) []Violation {
	if len(asked) == 0 {
		return nil
	}
	return []Violation{{RulePlanRoles, fmt.Sprintf(
		"roles %s: plan %s gives none, since no Cloud Controller is configured for environment %s; leave roles out", quotes(asked), p.Name, p.Environment)}}
}

func (p Plan) judgeTokenLifetime(asked time.Duration) []Violation {
	if asked <= p.TokenLifetime.Maximum {
		return nil
	}
	return []Violation{{RulePlanTokenLifetime, fmt.Sprintf(
		"token_lifetime %s: plan %s allows at most %s", Duration(asked), p.Name, Duration(p.TokenLifetime.Maximum))}}
}

func (p Plan) judgeAppClient(asked BindParameters) []Violation {
	switch {
	case !asked.AppClient:
		return nil
	case !p.AppClient.Allowed:
		return []Violation{{RulePlanAppClient, fmt.Sprintf("app_client: plan %s gives no clients of an app's own; leave it out", p.Name)}}
	case time.Duration(asked.ExpiresIn) > p.AppClient.Maximum:
		return []Violation{{RulePlanAppClient, fmt.Sprintf(
			"expires_in %s: plan %s allows at most %s", asked.ExpiresIn, p.Name, Duration(p.AppClient.Maximum))}}
	default:
		return nil
	}
}

// judgeRotation judges a period that was asked for; 0 is the plan's own.
func (p Plan) judgeRotation(asked time.Duration) []Violation {
	if asked == 0 || p.Rotation.Minimum <= asked && asked <= p.Rotation.Maximum {
		return nil
	}
	return []Violation{{RulePlanRotation, fmt.Sprintf(
		"rotation_period %s: plan %s allows %s to %s", Duration(asked), p.Name, Duration(p.Rotation.Minimum), Duration(p.Rotation.Maximum))}}
}

// judgeAuthorities finds what is beyond the fixed list, the ceiling (nil: none)
// and the plan. What nobody may ever hold is reported as that alone: a plan that
// allowed it would change nothing.
func (p Plan) judgeAuthorities(at values, ceiling, asked []identity.Authority) []Violation {
	var malformed, never, beyondInstance, beyondPlan []identity.Authority
	for _, a := range asked {
		switch {
		case !isAuthority(string(a)):
			malformed = append(malformed, a)
			continue
		case neverGrant(string(a)):
			never = append(never, a)
			continue
		}
		if ceiling != nil && !slices.Contains(ceiling, a) {
			beyondInstance = append(beyondInstance, a)
		}
		if !p.allows(a, at) {
			beyondPlan = append(beyondPlan, a)
		}
	}

	var violations []Violation
	report := func(rule string, authorities []identity.Authority, format string, arguments ...any) {
		if len(authorities) > 0 {
			violations = append(violations, Violation{rule, quotes(asSet(authorities)) + ": " + fmt.Sprintf(format, arguments...)})
		}
	}
	report(RuleAuthorityGrammar, malformed, "cannot be an authority")
	report(RuleNeverGrant, never, "never granted, by any plan")
	report(RuleInstanceAuthorities, beyondInstance, "beyond what this instance may hold (%s)", listed(texts(ceiling)))
	report(RulePlanAuthorities, beyondPlan, "beyond what plan %s allows here (%s)", p.Name, listed(p.may(at, nil)))
	return violations
}

func (p Plan) allows(a identity.Authority, at values) bool {
	return slices.ContainsFunc(p.authorities, func(pattern authorityPattern) bool { return pattern.matches(string(a), at) })
}

// may lists what can be asked for at a place.
func (p Plan) may(at values, ceiling []identity.Authority) []string {
	if ceiling != nil {
		return texts(ceiling)
	}
	var patterns []string
	for _, pattern := range p.authorities {
		if said, ok := pattern.at(at); ok && !slices.Contains(patterns, said) {
			patterns = append(patterns, said)
		}
	}
	return patterns
}

// judgeConnection judges an id that was chosen. The one that we compute is
// always allowed, also when it is named.
func (p Plan) judgeConnection(at values, instance identity.Instance, chosen identity.ConnectionID) []Violation {
	if chosen == "" || chosen == instance.ConnectionBase && isConnectionID(string(chosen)) {
		return nil
	}
	at = at.named(PlaceOf(instance))
	rest, prefixed := strings.CutPrefix(string(chosen), p.ConnectionPrefix)
	for _, pattern := range p.connections {
		if prefixed && isConnectionID(string(chosen)) && pattern.matches(rest, at) {
			return nil
		}
	}
	var patterns []string
	for _, pattern := range p.connections {
		patterns = append(patterns, p.ConnectionPrefix+pattern.at(at))
	}
	return []Violation{{RulePlanConnectionIDs, fmt.Sprintf(
		"connection_id %s is not among those that plan %s lets you choose (%s); without connection_id you get the default",
		quote(string(chosen)), p.Name, listed(patterns))}}
}

func refuse(violations []Violation) error {
	if len(violations) == 0 {
		return nil
	}
	return &NotAllowedError{violations}
}

// asSet sorts and takes repetitions out; nil stays nil.
func asSet(authorities []identity.Authority) []identity.Authority {
	sorted := slices.Clone(authorities)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func texts(authorities []identity.Authority) []string {
	list := make([]string, len(authorities))
	for i, a := range authorities {
		list[i] = string(a)
	}
	return list
}
