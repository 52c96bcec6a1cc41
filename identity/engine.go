package identity

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Environment is where an instance's identities live.
type Environment struct {
	Name        EnvironmentName
	Airflow     AirflowURL
	Clients     Clients
	Connections Connections
	// Permitted tells why nothing may be changed in the environment now, which may be
	// mended meanwhile; nil: everything always may.
	Permitted func(context.Context) error
	// ClientsPatience and ConnectionsPatience are how each remote is waited for.
	ClientsPatience     Patience
	ConnectionsPatience Patience
	// Background is how many of its identities may be under way for which nobody
	// waits: half of what the smaller of its remotes takes at a time. Zero means
	// half of the engine's Concurrency.
	Background int
}

// Patience is how long a remote system is waited for.
type Patience struct {
	// Timeout bounds one call.
	Timeout time.Duration
	// Quiet is how long a call that got no answer may still act. It is two
	// time-outs: routers and proxies give a request up after one of their own.
	Quiet time.Duration
}

// PatienceOf gives the patience that belongs to a time-out.
func PatienceOf(timeout time.Duration) Patience {
	return Patience{Timeout: timeout, Quiet: 2 * timeout}
}

func (e Environment) permitted(ctx context.Context) error {
	if e.Permitted == nil {
		return nil
	}
	return e.Permitted(ctx)
}

func (e Environment) patience(name ThingName) Patience {
	if name == TheConnection {
		return e.ConnectionsPatience
	}
	return e.ClientsPatience
}

// longest is the longest time-out of its remotes.
func (e Environment) longest() time.Duration {
	return max(e.ClientsPatience.Timeout, e.ConnectionsPatience.Timeout)
}

// Config is what an engine is made of.
type Config struct {
	Store        Store
	Broker       BrokerID
	Environments map[EnvironmentName]Environment
	// Budget is the inline time of a verb.
	Budget time.Duration
	// Poll is how often the loop looks for due rows that it was not told of.
	// Zero means a second.
	Poll time.Duration
	// Concurrency is how many identities of one environment the loop converges at
	// once. Zero means 16.
	Concurrency int
	// SweepPeriod is how often an environment's clients and connections are
	// compared with the rows. Zero means an hour, less than zero never.
	SweepPeriod time.Duration
	// SweepProbes is how many of its secrets are tried each time. Zero means 10.
	SweepProbes int
	// LeaseGrace is how much longer than the longest time-out a lease lasts, and how
	// long the transaction between two rounds may take. Zero means 5 s.
	LeaseGrace time.Duration
	// HoldAbove is the share of an environment's identities that are held from
	// which on all of it is. Zero means 0.05.
	HoldAbove float64
	// Clock is what due times, finish_by and tombstones are measured by; nil
	// means the system's. Leases and quiet times follow the database's.
	Clock  func() time.Time
	Logger *slog.Logger
}

const (
	// finishGrace is added to the budget for finish_by: time to record an answer.
	finishGrace = 5 * time.Second
	// leaseGrace is what is added to the longest time-out for a lease, unless
	// Config.LeaseGrace says otherwise.
	leaseGrace = 5 * time.Second
	// KeepTombstones is how long what was removed can still be told of.
	KeepTombstones = 90 * 24 * time.Hour
)

// Engine carries wishes out: through the verbs, inline and within their budget,
// and through the loop, for everything that is due.
type Engine struct {
	Config
	lease time.Duration
	woken chan struct{}
	// stopping ends when Run's context does, and with it every verb's.
	stopping context.Context
	stop     context.CancelFunc
	// behind is what goes on behind an answer, and the loop's own work: Run
	// returns when it is done.
	behind crew
}

// NewEngine checks the configuration and fills in its defaults. It starts
// nothing: Run does.
func NewEngine(config Config) (*Engine, error) {
	if config.Store == nil || config.Broker == "" || config.Logger == nil {
		return nil, fmt.Errorf("making the engine: store, broker and logger are needed")
	}
	if config.Budget <= 0 {
		return nil, fmt.Errorf("making the engine: the budget must be more than 0")
	}
	if config.Poll == 0 {
		config.Poll = time.Second
	}
	if config.Concurrency == 0 {
		config.Concurrency = 16
	}
	if config.SweepPeriod == 0 {
		config.SweepPeriod = time.Hour
	}
	if config.SweepProbes == 0 {
		config.SweepProbes = 10
	}
	if config.LeaseGrace == 0 {
		config.LeaseGrace = leaseGrace
	}
	if config.HoldAbove == 0 {
		config.HoldAbove = 0.05
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	e := &Engine{Config: config, woken: make(chan struct{}, 1)}
	e.stopping, e.stop = context.WithCancel(context.Background())
	for name, env := range config.Environments {
		for _, p := range []Patience{env.ClientsPatience, env.ConnectionsPatience} {
			if p.Timeout <= 0 {
				return nil, fmt.Errorf("making the engine: environment %s has a remote without a time-out", name)
			}
			e.lease = max(e.lease, p.Timeout+config.LeaseGrace)
		}
	}
	return e, nil
}

// environment finds the environment of a row. A row whose environment is not
// configured is left as it is until it is.
func (e *Engine) environment(name EnvironmentName) (Environment, error) {
	env, ok := e.Environments[name]
	if !ok {
		return Environment{}, fmt.Errorf("environment %q is not configured", name)
	}
	return env, nil
}

// Wake makes the loop look at once.
func (e *Engine) Wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// within is a verb's context: it lasts for the budget, whether or not the client
// hangs up, and ends with the process.
func (e *Engine) within(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := detached(ctx, budget)
	unhook := context.AfterFunc(e.stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}

// detached keeps a context's values but not its end: what a client that hangs
// up must not interrupt. It ends by itself.
func detached(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), within)
}
