package catalog

import (
	"fmt"
	"slices"
	"time"

	"airflow-identity/identity"
)

// JudgeUpdate decides what an instance is from now on, and what each identity in
// it holds; p is the plan that it will have. What was not asked to change stays
// as it is, however it came about, and is not judged again.
//
// If the plan or the instance's list changes, every live identity follows. One
// that asked for its list keeps what of it the instance may still hold, and gets
// nothing back; one that asked for nothing gets what a bind would get now.
//
//	it asked   the instance's list   it holds from now on
//	yes        there is one          what it holds, as far as it is in that list
//	yes        none                  what it holds
//	no         there is one          that list
//	no         none                  the plan's default
//
// The lists that come out are held to the plan's of now, and the update is
// refused if one of them is beyond it.
func (p Plan) JudgeUpdate(instance identity.Instance, asked UpdateParameters, held []identity.Held) (identity.Revision, error) {
	moved := p.ID != instance.Plan
	if moved && p.Environment != instance.Environment {
		return identity.Revision{}, refuse([]Violation{{RulePlanEnvironment, fmt.Sprintf(
			"plan %s is of environment %s, and this instance stays in environment %s for good: create another instance there",
			p.Name, p.Environment, instance.Environment)}})
	}
	parameters, err := asked.over(instance.Parameters)
	if err != nil {
		return identity.Revision{}, err
	}
	revision := identity.Revision{
		Plan:           p.ID,
		Parameters:     parameters,
		Ceiling:        instance.Ceiling,
		RotationPeriod: instance.RotationPeriod,
		Lists:          make(map[identity.ID][]identity.Authority, len(held)),
	}
	if asked.Authorities != nil {
		revision.Ceiling = asSet(asked.Authorities)
	}
	if asked.RotationPeriod != 0 {
		revision.RotationPeriod = time.Duration(asked.RotationPeriod)
	}
	revised := identity.Instance{RotationPeriod: revision.RotationPeriod}
	revision.Period, revision.Soak = p.PeriodOf(revised), p.SoakOf(revised)
	relisted := moved || asked.Authorities != nil
	for _, h := range held {
		revision.Lists[h.Identity] = h.Granted
		if relisted {
			revision.Lists[h.Identity] = p.relist(h, revision.Ceiling)
		}
	}

	var violations []Violation
	if moved {
		violations = append(violations, p.judgeRetired("an instance")...)
	}
	if relisted {
		violations = append(violations, p.judgeLists(instance, asked, revision)...)
	}
	if moved || asked.RotationPeriod != 0 {
		violations = append(violations, p.judgeRotation(revision.RotationPeriod)...)
	}
	violations = append(violations, p.judgeRoles(asked.Roles)...)
	if err := refuse(violations); err != nil {
		return identity.Revision{}, err
	}
	return revision, nil
}

// relist is what a live identity holds from now on. It is never nil, since
// nothing is a list too.
func (p Plan) relist(h identity.Held, ceiling []identity.Authority) []identity.Authority {
	list := []identity.Authority{}
	if h.Asked == nil {
		return append(list, asSet(p.list(ceiling, nil))...)
	}
	for _, a := range h.Granted {
		if ceiling == nil || slices.Contains(ceiling, a) {
			list = append(list, a)
		}
	}
	return list
}

// judgeLists holds the lists of an update to the plan's. Where the instance has
// one, no identity's goes beyond that.
func (p Plan) judgeLists(instance identity.Instance, asked UpdateParameters, revision identity.Revision) []Violation {
	at := p.valuesAt(PlaceOf(instance))
	if asked.Authorities != nil {
		return p.judgeAuthorities(at, nil, asked.Authorities)
	}
	judged := revision.Ceiling
	if judged == nil {
		for _, list := range revision.Lists {
			judged = append(judged, list...)
		}
	}
	violations := p.judgeAuthorities(at, nil, asSet(judged))
	for i := range violations {
		violations[i].Message += "; this instance, or a binding of it, holds that: send authorities with the same update, or unbind first"
	}
	return violations
}
