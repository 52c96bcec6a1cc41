package identity

import (
	"time"

	"airflow-identity/audit"
)

// RowID is a row's own key. The platform may use a guid again once what it
// named is removed, so a guid is not one.
type RowID string

// Names are the names last told by the platform. They change with a rename.
type Names struct {
	Org      string
	Space    string
	Instance string
}

// Instance is a ceiling of rights in one environment. It is removed as soon as
// RemovingAt is set and no binding of it is left: that is derived, never stored.
type Instance struct {
	Row         RowID
	GUID        InstanceGUID
	Plan        PlanID
	Environment EnvironmentName
	Org         OrgGUID
	Space       SpaceGUID
	Names       Names
	// Parameters are those that were sent, as canonical JSON: what a repeated
	// request is compared with and what the platform may read back.
	Parameters []byte
	// Ceiling is the most that any binding may hold; nil: the plan's allow-list.
	Ceiling []Authority
	// RotationPeriod is the one that was asked for; 0: the plan's.
	RotationPeriod time.Duration
	// ConnectionBase is the default connection id, fixed at provision so that
	// it survives renames.
	ConnectionBase ConnectionID
	// Updates counts the updates; an update's operation names its number.
	Updates int
	// UpdateBy is when the platform stops polling for the last one.
	UpdateBy   *time.Time
	CreatedAt  time.Time
	RemovingAt *time.Time
}

// Part is what a binding and one of its identities are to each other. Each
// identity's own turn writes its own part, under the binding's lock, so neither
// has to look at the other.
type Part struct {
	Identity ID // "": the binding has no such identity
	// Ready: the identity was whole while the binding was being made.
	Ready bool
	// Done: the binding is no longer live, and the identity is gone for the
	// platform or wanted by others.
	Done bool
}

// Binding refers to an Airflow identity, an app identity, or both, and, as long
// as it is live, keeps them wanted.
type Binding struct {
	Row      RowID
	GUID     BindingGUID
	Instance RowID
	Airflow  Part
	// Client is the app identity: a client of its own for whoever bound.
	Client     Part
	App        AppGUID // "" for a service key
	Parameters []byte
	// FinishBy is the time past which a create without a recorded success is
	// gone, whoever looks; by the engine's clock.
	FinishBy  time.Time
	CreatedAt time.Time
	// AsyncAt is when a 202 was recorded for the create; from then on it may
	// take as long as the plan lets the platform poll.
	AsyncAt     *time.Time
	SucceededAt *time.Time
	FailedAt    *time.Time
	Failure     Failure
	UnboundAt   *time.Time
	// RemovedAt is set once nothing of it is left but perhaps a debt: the row
	// is then a tombstone, and its guid is free.
	RemovedAt *time.Time
}

// part finds what the binding and an identity are to each other.
func (b *Binding) part(id ID) *Part {
	if b.Airflow.Identity == id {
		return &b.Airflow
	}
	return &b.Client
}

// Identities are those the binding refers to.
func (b Binding) Identities() []ID {
	var ids []ID
	for _, p := range []Part{b.Airflow, b.Client} {
		if p.Identity != "" {
			ids = append(ids, p.Identity)
		}
	}
	return ids
}

// ready tells whether every identity was whole.
func (b Binding) ready() bool {
	return (b.Airflow.Identity == "" || b.Airflow.Ready) && (b.Client.Identity == "" || b.Client.Ready)
}

// done tells whether nothing of the binding is left, for the platform.
func (b Binding) done() bool {
	return (b.Airflow.Identity == "" || b.Airflow.Done) && (b.Client.Identity == "" || b.Client.Done)
}

// Live tells whether the binding keeps its identities wanted.
func (b Binding) Live(now time.Time) bool {
	switch {
	case b.UnboundAt != nil, b.FailedAt != nil, b.RemovedAt != nil:
		return false
	case b.SucceededAt != nil:
		return true
	default:
		return now.Before(b.FinishBy)
	}
}

// Failure says why a create failed, in words for the one who asked for it.
type Failure struct {
	Code    FailureCode
	Message string
}

// FailureCode is the kind of a failure; broker turns it into an answer.
type FailureCode string

const (
	// FailedTaken: Airflow holds a connection under that id that is not ours.
	FailedTaken FailureCode = "ConnectionTaken"
	// FailedRefused: UAA or Airflow refused for good what was allowed here.
	FailedRefused FailureCode = "Refused"
	// FailedLate: it was not whole by FinishBy, or its verb gave up before.
	FailedLate FailureCode = "Late"
)

// Kind tells the two lives of an identity apart.
type Kind string

const (
	// AirflowIdentity has a connection, and a secret that no app ever sees.
	AirflowIdentity Kind = "airflow"
	// AppIdentity is a client that was handed out. It has no connection and it
	// ends at ExpiresAt.
	AppIdentity Kind = "app"
)

// Holder is who gets a connection id again before any other: an app, or "a key
// of instance X".
type Holder string

// HolderOf names the holder that a binding of this app, or key, speaks for.
func HolderOf(instance InstanceGUID, app AppGUID) Holder {
	if app == "" {
		return Holder("key:" + string(instance))
	}
	return Holder("app:" + string(app))
}

// Identity is one UAA client and what belongs to it, as one row.
type Identity struct {
	ID          ID
	Kind        Kind
	Instance    RowID
	Environment EnvironmentName
	Holder      Holder

	Asked         []Authority // nil: nothing was asked for, the default applies
	Granted       []Authority
	TokenLifetime time.Duration
	Endpoints     Endpoints

	Generation int // of the newest publish intent; grows only
	// Secret is the one of Generation: Airflow has it, or is being given it.
	// Candidate is the next one, until it is published. Old is the former one,
	// until it is proven to be refused. All are sealed in the row, and zero once
	// everything is gone.
	Secret, Candidate, Old Secret
	Rotation

	Airflow    AirflowURL
	Connection ConnectionID
	// Team is Airflow's team that has the connection, as it was when that was made.
	Team Team
	// Description is the sentence as it was composed at publish.
	Description string

	Client Thing
	// Published is the connection as a thing. Its quiet time stands on the
	// reservation, where a new owner of the id meets it.
	Published Thing

	Lane        Lane
	DueAt       *time.Time // nil: nothing to do
	Attempt     int        // failed rounds since the wish last changed
	LeaseUntil  time.Time  // by the database's clock
	LeaseEpoch  int64
	WishVersion int64
	LastError   string

	// RequestID is that of the last request that changed the wish, so that
	// what follows from it can be found by it.
	RequestID string
	CreatedAt time.Time
	ExpiresAt *time.Time // nil: it does not end by itself
	// RevokedAt: an operator cut it off. ForgottenAt: an operator wrote off what
	// is left of it.
	RevokedAt   *time.Time
	ForgottenAt *time.Time
	EndedAt     *time.Time // it expired, was revoked, or no live binding was found: absent is final
	CleanAt     *time.Time // nothing is left anywhere
}

// Lane orders due work: people first, then rotation, then sweeps. The last two
// together get at most half of an environment's slots.
type Lane int

const (
	// LanePeople is work that somebody waits for.
	LanePeople Lane = 0
	// LaneRotation is work whose time has come.
	LaneRotation Lane = 1
	// LaneSweep is work that nobody waits for: what a sweep found, and debts.
	LaneSweep Lane = 2
)

var lanes = []Lane{LanePeople, LaneRotation, LaneSweep}

// Reservation is a connection id, unique within an Airflow.
type Reservation struct {
	Airflow AirflowURL
	ID      ConnectionID
	Space   SpaceGUID // the space it is reserved for
	Holder  Holder    // the last holder whose create succeeded; "" if none did
	// Identity holds the id now, or is being removed from it; "" if it is free.
	Identity ID
	// QuietUntil: until then nothing different from what was last sent may be
	// sent for this id, by anyone; by the database's clock.
	QuietUntil *time.Time
	// DebtSince is set when a connection could not be removed although all
	// else was: it stays reserved, and the removal is tried for ever.
	DebtSince  *time.Time
	ReleasedAt *time.Time
}

// Origin is who asked, and under which request id.
type Origin struct {
	Actor     audit.Actor
	RequestID string
	Policy    string // hash of the guardrails that decided
}
