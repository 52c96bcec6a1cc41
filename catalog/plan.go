package catalog

import (
	"fmt"
	"time"

	"airflow-identity/identity"
)

const (
	// DefaultConnectionTemplate leaves the space out on purpose: spaces often
	// are dev, staging and prod, and the same DAG must run in each.
	DefaultConnectionTemplate = "{{org}}_{{instance}}"
	// DefaultTokenLifetime is short because a token outlives its client at
	// whoever verifies offline.
	DefaultTokenLifetime = 10 * time.Minute
	// DefaultAppClientMaximum is how long a client that was handed out lives.
	DefaultAppClientMaximum = 30 * 24 * time.Hour
	// DefaultMaximumPollingDuration is how long a platform waits for what was
	// answered with 202.
	DefaultMaximumPollingDuration = 10 * time.Minute

	DefaultRotationPeriod  = 4 * time.Hour
	DefaultShortestPeriod  = time.Hour
	DefaultLongestPeriod   = 24 * time.Hour
	longestPollingDuration = 7 * 24 * time.Hour // Cloud Controller's own limit
)

// Plan is an environment as it is offered: what may be had there. Its fields
// are the configuration's; New checks them and adds what it made of them.
type Plan struct {
	ID          identity.PlanID
	Name        string
	Description string
	Environment identity.EnvironmentName
	// Retired: nothing new is made of the plan, everything old works.
	Retired bool
	// ConnectionPrefix is the environment's: ids outside it are never touched.
	ConnectionPrefix string
	// Team is the environment's too: Airflow's team that new connections belong to,
	// "{{org}}" for that of the org's name, or "" for none.
	Team string
	// DefaultAuthorities are for a bind that asks for nothing, of an instance
	// that has no list of its own.
	DefaultAuthorities []identity.Authority
	// ConnectionTemplate gives the default connection id; "" means
	// DefaultConnectionTemplate.
	ConnectionTemplate string
	Allow              Allow
	TokenLifetime      TokenLifetime
	Rotation           Rotation
	AppClient          AppClient
	Quota              Quota
	// MaximumPollingDuration is how long a create may go on behind a 202; 0
	// means DefaultMaximumPollingDuration.
	MaximumPollingDuration time.Duration

	authorities []authorityPattern
	connections []connectionPattern
	template    text
	policy      string
}

// Allow is what a plan gives. Nothing else is given.
type Allow struct {
	Authorities   []string
	ConnectionIDs []string
}

// TokenLifetime is the life of access tokens: what a bind gets that asks for
// none, and the most that one may ask for. A Default of 0 means
// DefaultTokenLifetime, a Maximum of 0 means the default.
type TokenLifetime struct{ Default, Maximum time.Duration }

// Rotation is how often secrets are replaced: the period of an instance that
// asks for none, and what one may ask for. Zeros mean 4h within 1h and 24h, each
// moved to make room for those that are set.
//
// Soak is how long a former secret stays valid at most; 0, and any more than that,
// means half the period.
type Rotation struct{ Period, Minimum, Maximum, Soak time.Duration }

// AppClient says whether a bind may have a client of its own, and how long such
// a client lives at most; a Maximum of 0 means DefaultAppClientMaximum.
type AppClient struct {
	Allowed bool
	Maximum time.Duration
}

// Quota is how many there may be at a time; 0: any number.
type Quota struct{ InstancesPerSpace, BindingsPerInstance int }

func (p Plan) withDefaults() Plan {
	if p.ConnectionTemplate == "" {
		p.ConnectionTemplate = DefaultConnectionTemplate
	}
	if p.MaximumPollingDuration == 0 {
		p.MaximumPollingDuration = DefaultMaximumPollingDuration
	}
	if p.AppClient.Allowed && p.AppClient.Maximum == 0 {
		p.AppClient.Maximum = DefaultAppClientMaximum
	}
	p.TokenLifetime = p.TokenLifetime.withDefaults()
	p.Rotation = p.Rotation.withDefaults()
	return p
}

func (l TokenLifetime) withDefaults() TokenLifetime {
	if l.Default == 0 {
		l.Default = DefaultTokenLifetime
		if l.Maximum != 0 {
			l.Default = min(l.Default, l.Maximum)
		}
	}
	if l.Maximum == 0 {
		l.Maximum = l.Default
	}
	return l
}

func (r Rotation) withDefaults() Rotation {
	if r.Period == 0 {
		r.Period = max(DefaultRotationPeriod, r.Minimum)
		if r.Maximum != 0 {
			r.Period = min(r.Period, r.Maximum)
		}
	}
	if r.Minimum == 0 {
		r.Minimum = min(DefaultShortestPeriod, r.Period)
	}
	if r.Maximum == 0 {
		r.Maximum = max(DefaultLongestPeriod, r.Period)
	}
	return r
}

// shortestSoak is how long an old secret stays valid at least, and so the most
// that a token may live.
func (r Rotation) shortestSoak() time.Duration { return r.soakOf(r.Minimum) }

func (r Rotation) soakOf(period time.Duration) time.Duration {
	if r.Soak == 0 {
		return period / 2
	}
	return min(r.Soak, period/2)
}

// PeriodOf is the rotation period of an instance: the one it asked for, or else
// the plan's.
func (p Plan) PeriodOf(instance identity.Instance) time.Duration {
	if instance.RotationPeriod != 0 {
		return instance.RotationPeriod
	}
	return p.Rotation.Period
}

// SoakOf is how long a former secret of the instance's identities stays valid.
func (p Plan) SoakOf(instance identity.Instance) time.Duration {
	return p.Rotation.soakOf(p.PeriodOf(instance))
}

// bullets are what a marketplace shows of the plan.
func (p Plan) bullets() []string {
	tokens := fmt.Sprintf("Access tokens live %s", Duration(p.TokenLifetime.Default))
	if p.TokenLifetime.Maximum > p.TokenLifetime.Default {
		tokens += fmt.Sprintf(", up to %s if asked for", Duration(p.TokenLifetime.Maximum))
	}
	clients := "No clients of an app's own"
	if p.AppClient.Allowed {
		clients = fmt.Sprintf("Clients of an app's own live up to %s", Duration(p.AppClient.Maximum))
	}
	list := []string{"Environment " + string(p.Environment), tokens, clients}
	if p.Retired {
		list = append(list, "Retired: nothing new is made of it")
	}
	return list
}
