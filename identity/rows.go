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
	// ConnectionBase is the default connection id, fixed at provision so that
	// it survives renames.
	ConnectionBase ConnectionID
	CreatedAt      time.Time
	RemovingAt     *time.Time
}

// Binding refers to an identity and, as long as it is live, keeps it wanted.
type Binding struct {
	Row        RowID
	GUID       BindingGUID
	Instance   RowID
	Identity   ID
	App        AppGUID // "" for a service key
	Parameters []byte
	// FinishBy is the time past which a create without a recorded success is
	// gone, whoever looks; by the engine's clock.
	FinishBy    time.Time
	CreatedAt   time.Time
	SucceededAt *time.Time
	FailedAt    *time.Time
	Failure     Failure
	UnboundAt   *time.Time
	// RemovedAt is set once nothing of it is left but perhaps a debt: the row
	// is then a tombstone, and its guid is free.
	RemovedAt *time.Time
}

// Live tells whether the binding keeps its identity wanted.
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

// Kind tells the two lives of an identity apart. Only Airflow identities are
// made so far.
type Kind string

// AirflowIdentity has a connection, and a secret that no app ever sees.
const AirflowIdentity Kind = "airflow"

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

	Generation int    // of the newest publish intent; grows only
	Secret     Secret // sealed in the row; zero once everything is gone

	Airflow    AirflowURL
	Connection ConnectionID
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
	EndedAt   *time.Time // no live binding was found: absent is final
	CleanAt   *time.Time // nothing is left anywhere
}

// Lane orders due work: people first.
type Lane int

// LanePeople is work that somebody waits for.
const LanePeople Lane = 0

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
