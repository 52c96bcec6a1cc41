// Package catalog says what may be asked, and by whom: the one offering, its
// plans, the schemas of their parameters and the guardrails. It knows no HTTP
// and no remote system, and it writes nothing; every judgement is a function of
// a plan, a place and a request.
//
// A request passes three sieves, the coarsest first, and none of them trims it:
// it passes whole or is refused whole, with everything that is wrong with it in
// one sentence.
//
//	sieve      question                                refused as        rule
//	schema     are these parameters at all?            ParametersError   -
//	           is each a UAA authority?                ParametersError   authority-grammar
//	fixed      may anybody ever hold this?             NotAllowedError   never-grant
//	ceiling    may this instance hold it?              NotAllowedError   instance-authorities
//	plan       may this plan give it, here?            NotAllowedError   plan-authorities
//	           may this connection id be chosen here?  NotAllowedError   plan-connection-ids
//	           may it last so long, be so frequent?    NotAllowedError   plan-token-lifetime, plan-rotation-period
//	           may there be a client of one's own?     NotAllowedError   plan-app-client
//	           may there be roles?                     NotAllowedError   plan-roles
//	           is the plan still given out?            NotAllowedError   plan-retired
//	           is it of the instance's environment?    NotAllowedError   plan-environment
//
// The grammar is a guardrail although a schema states it: UAA splits strings on
// commas, so "orders.read,uaa.admin" in one string would make a UAA root.
//
// # Patterns
//
// A plan allows what its patterns match and nothing else; a plan that did not go
// through New has none and allows nothing.
//
//	in allow.authorities    matches                               not
//	orders.read             orders.read                           orders.read.all
//	orders.*                orders.read, orders.read.all          orders
//	{{org}}.{{space}}.*     acme.dev.read, for acme's space dev   acme.prod.read
//
// "*" is the whole last segment and stands for one or more whole segments. A
// placeholder is a whole segment too: {{environment}}, {{org_guid}},
// {{space_guid}}, {{org}}, {{space}} only after {{org}}, {{instance}} only after
// both, because anybody who manages an org may call a space what they like. A
// name that is not itself a segment, or that the platform never told, makes its
// pattern match nothing.
//
// In allow.connection_ids placeholders are mapped as in default ids and may
// stand anywhere, "*" stands last after "_", "." or "-" for one or more
// characters, and {{space}} and {{instance}} need {{org}} before them. The
// environment's connection_prefix is no part of a pattern, as it is no part of
// the plan's template: it is asked of every chosen id, and the pattern judges
// what follows it.
package catalog
