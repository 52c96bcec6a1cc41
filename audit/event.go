// Package audit holds what the broker says of itself: one event for every
// operation that somebody asked for and one for every outcome of a remote call.
//
// An event is written in the transaction of the change it tells of, so there is
// no change without an event and no event without its change. It is stored as
// the exact bytes of its leaf, compact JSON on one line marshalled once, and is
// never updated; the columns beside it are copies for queries. What a
// transparency log has not yet sealed stands in a table of its own. So the log
// can be laid over the events without touching one of them.
//
// No secret and no request parameter is ever part of an event. The types here
// have no field that could hold one.
package audit

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Decision says what the guardrails made of a request.
type Decision string

const (
	Allowed Decision = "allowed"
	Denied  Decision = "denied"
)

// Event is one leaf. Empty fields are left out of it.
type Event struct {
	ID uuid.UUID
	At time.Time

	Actor     Actor
	RequestID string

	// Action is the verb that was asked for ("bind") or the remote call that
	// returned ("client.make").
	Action string
	// Reason is the constant of the line in converge's table that led to the
	// call; for a denial, the ids of the rules.
	Reason   string
	Decision Decision
	Outcome  string
	// Detail is one sentence for people.
	Detail string
	// Policy is the hash of the guardrails that decided.
	Policy string

	Where Where

	// Authorities are those asked for or held.
	Authorities []string
}

// Actor is who is behind an event.
type Actor struct {
	// Kind is "platform" for a request, "broker" for work of its own accord,
	// "operator" for an order.
	Kind string `json:"kind"`
	// Platform and User come from the originating identity, as the platform
	// told them; both are empty on orphan mitigation. An operator's User is the
	// name of the Subject of a verified token of Issuer, or what was claimed.
	Platform string `json:"platform,omitempty"`
	User     string `json:"user,omitempty"`
	Subject  string `json:"subject,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	// Claimed: nobody has verified User. OSUser and CFInstance say where the
	// command ran.
	Claimed    bool   `json:"claimed,omitempty"`
	OSUser     string `json:"os_user,omitempty"`
	CFInstance string `json:"cf_instance,omitempty"`
}

// Broker is the actor of what nobody asked for at that moment.
var Broker = Actor{Kind: "broker"}

// Where names the things an event is about.
type Where struct {
	Environment string `json:"environment,omitempty"`
	Plan        string `json:"plan,omitempty"`
	Org         string `json:"org,omitempty"`
	Space       string `json:"space,omitempty"`
	Instance    string `json:"instance,omitempty"`
	Binding     string `json:"binding,omitempty"`
	Identity    string `json:"identity,omitempty"`
	Connection  string `json:"connection,omitempty"`
}

// leafVersion stands in every leaf; a change of its form raises it.
const leafVersion = 1

type leaf struct {
	V           int      `json:"v"`
	ID          string   `json:"id"`
	At          string   `json:"at"`
	Actor       Actor    `json:"actor"`
	RequestID   string   `json:"request_id,omitempty"`
	Action      string   `json:"action"`
	Reason      string   `json:"reason,omitempty"`
	Decision    Decision `json:"decision,omitempty"`
	Outcome     string   `json:"outcome,omitempty"`
	Detail      string   `json:"detail,omitempty"`
	Policy      string   `json:"policy,omitempty"`
	Where       Where    `json:"where"`
	Authorities []string `json:"authorities,omitempty"`
}

// MaxLeaf is the largest leaf in bytes: C2SP's entry bundles hold a 16-bit length.
const MaxLeaf = 1<<16 - 1

// Leaf marshals the event into the bytes that are stored. They are made once
// and never encoded again.
func (e Event) Leaf() ([]byte, error) {
	bytes, err := json.Marshal(leaf{
		V:           leafVersion,
		ID:          e.ID.String(),
		At:          e.At.UTC().Format(time.RFC3339Nano),
		Actor:       e.Actor,
		RequestID:   e.RequestID,
		Action:      e.Action,
		Reason:      e.Reason,
		Decision:    e.Decision,
		Outcome:     e.Outcome,
		Detail:      e.Detail,
		Policy:      e.Policy,
		Where:       e.Where,
		Authorities: e.Authorities,
	})
	if err != nil {
		return nil, fmt.Errorf("marshalling event %s: %w", e.ID, err)
	}
	if len(bytes) > MaxLeaf {
		return nil, fmt.Errorf("event %s has %d bytes, at most %d fit a leaf", e.ID, len(bytes), MaxLeaf)
	}
	return bytes, nil
}
