package identity

import (
	"context"
	"time"

	"airflow-identity/audit"
)

// Store keeps the rows. Everything that decides anything happens inside Within,
// under the row locks that Tx takes; what is read outside is only for waiting
// and for telling.
type Store interface {
	// Within runs fn in one transaction, read committed. It is repeated as a
	// whole if the database gives it up for a deadlock or a lost race, so fn
	// may run more than once and must start from nothing each time. An error
	// of fn rolls back and is returned as it is. Any other error leaves it
	// unknown whether the commit happened: read again before relying on either.
	Within(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error

	// Due tells for each of the environments and each lane when the earliest row
	// that nobody holds is due; nothing where none is.
	Due(ctx context.Context, environments []EnvironmentName) ([]Due, error)
	// Claim leases up to limit identities of an environment's lane that are due by
	// now, the engine's clock, and that nobody holds by the database's, the longest
	// due first. Each claim raises the epoch, which fences the former holder.
	Claim(ctx context.Context, environment EnvironmentName, lane Lane, now time.Time, lease time.Duration, limit int) ([]Lease, error)

	// Instance, Binding and View read without locks: the newest row of that guid.
	Instance(ctx context.Context, guid InstanceGUID) (Instance, bool, error)
	Binding(ctx context.Context, guid BindingGUID) (Binding, bool, error)
	View(ctx context.Context, id ID) (View, error)
	// LiveBindings counts an instance's bindings that are not removed.
	LiveBindings(ctx context.Context, instance RowID) (int, error)
	// Outdated counts an instance's identities that have not ended and whose
	// client is not yet as the row says.
	Outdated(ctx context.Context, instance RowID) (int, error)

	// BeginSweep tells whether a sweep of the environment is due by now; whoever is
	// told so has until until to finish it, or to call it again. probeAll: every
	// secret is to be tried.
	BeginSweep(ctx context.Context, environment EnvironmentName, now, until time.Time) (begun, probeAll bool, err error)
	// BreakOffSweep says when one that failed is due again. One that was to try every
	// secret is still to try them.
	BreakOffSweep(ctx context.Context, environment EnvironmentName, again time.Time, probeAll bool) error
	// EndSweep says when the next one is due, or until when this one goes on.
	EndSweep(ctx context.Context, environment EnvironmentName, next time.Time) error
	// Expected reads identities for comparison: without secrets and bindings, and
	// those that have ended are left out.
	Expected(ctx context.Context, ids []ID) ([]View, error)
	// Standing pages through identities, in the order of their ids, that have not
	// ended and whose things were there before a time.
	Standing(ctx context.Context, environment EnvironmentName, before time.Time, after ID, limit int) ([]ID, error)
	// Sample draws some of them.
	Sample(ctx context.Context, environment EnvironmentName, n int) ([]ID, error)
	// Unclaimed gives those of the ids of which there is no row, not even of one that
	// has ended.
	Unclaimed(ctx context.Context, ids []ID) ([]ID, error)
	// Doubt makes things of identities be looked at again, in the lane of sweeps,
	// where nobody works on them already.
	Doubt(ctx context.Context, ids []ID, thing ThingName, now time.Time) error

	// Purge deletes tombstones older than before; events stay.
	Purge(ctx context.Context, before time.Time) error
}

// Tx is one transaction. Locks are taken in one order: space, instance,
// connection ids, bindings, identities. Whoever needs several takes them so.
type Tx interface {
	// LockSpace serialises provisions in a space.
	LockSpace(ctx context.Context, space SpaceGUID) error
	// Instance locks and gives the newest row of that guid; nil if there is none.
	Instance(ctx context.Context, guid InstanceGUID) (*Instance, error)
	// Reserve locks the row of a connection id, making it if there is none.
	Reserve(ctx context.Context, airflow AirflowURL, id ConnectionID, space SpaceGUID) (*Reservation, error)
	// LockReservations locks those that an instance's identities hold, in order.
	LockReservations(ctx context.Context, instance RowID) error
	// Binding gives the newest row of that guid, without a lock: its identity's
	// view locks it. nil if there is none.
	Binding(ctx context.Context, guid BindingGUID) (*Binding, error)
	// Bindings gives an instance's bindings that are not removed.
	Bindings(ctx context.Context, instance RowID) ([]Binding, error)
	// CountInstances counts the space's instances of a plan that are not being
	// removed. Under LockSpace nothing adds to them.
	CountInstances(ctx context.Context, space SpaceGUID, plan PlanID) (int, error)
	// Identity reads an identity without locks.
	Identity(ctx context.Context, id ID) (*Identity, error)
	// View locks an identity with its connection id and bindings, and reads them.
	View(ctx context.Context, id ID) (*View, error)
	// Clock is the database's.
	Clock(ctx context.Context) (time.Time, error)

	InsertInstance(ctx context.Context, instance Instance) error
	// UpdateInstance writes plan, names, parameters, ceiling, period and updates.
	UpdateInstance(ctx context.Context, instance Instance) error
	MarkRemoving(ctx context.Context, instance RowID, at time.Time) error
	// InsertIdentity writes a new identity and, if it has one, its reservation.
	InsertIdentity(ctx context.Context, view View) error
	// InsertBinding writes a new binding, after its identities.
	InsertBinding(ctx context.Context, binding Binding) error
	// HoldEnvironment holds an environment if more than this share of its
	// identities is held.
	HoldEnvironment(ctx context.Context, environment EnvironmentName, above float64, now time.Time) error
	// Suspect makes the next sweep of an environment come at once and try every
	// secret, unless one has done so in the last period.
	Suspect(ctx context.Context, environment EnvironmentName, now time.Time, period time.Duration) error
	// WakeIdentities makes identities due and raises their wish's version.
	WakeIdentities(ctx context.Context, ids []ID, now time.Time) error
	// SaveView writes what may change of an identity, its bindings and its
	// reservation, if the lease's epoch is still the one given.
	SaveView(ctx context.Context, view View, epoch int64) error
	// Record writes events, in this transaction. An id that is there already
	// is left as it is.
	Record(ctx context.Context, events ...audit.Event) error
}

// Due is when the earliest row of a lane is due.
type Due struct {
	Environment EnvironmentName
	Lane        Lane
	At          time.Time
}

// Lease is the right to act for one identity until it ends.
type Lease struct {
	ID    ID
	Epoch int64
	// Until is when it ends by this process's clock, counted from before the
	// statement that took it was sent. No byte of a call is written past it.
	Until time.Time
}
