package identity

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Outcome is what is known of a remote call once it has returned. The core
// never looks at statuses or bodies: an adapter turns them into one of these,
// and the tables in things.go say what each means for the row.
type Outcome string

const (
	// Done: the system's own 2xx, the call had its effect; of a probe: yes.
	Done Outcome = "done"
	// NotThere: the system's own 404; of a probe: the secret was refused.
	NotThere Outcome = "not_there"
	// Exists: the system's own answer that something has this id already.
	Exists Outcome = "exists"
	// Foreign: a connection is there and its marker does not name us.
	Foreign Outcome = "foreign"
	// Differs: it was made, and what was answered is not what was asked.
	Differs Outcome = "differs"
	// Rejected: the system's own 4xx that repeating the call will not change.
	Rejected Outcome = "rejected"
	// Later: certainly without effect, and worth repeating: never written
	// (dial, TLS, no token, lease over), 408 or 429.
	Later Outcome = "later"
	// Refused: the client is there, and refuses the secret that it should accept.
	Refused Outcome = "refused"
	// Alone: the client has one secret, so there is no older one to take away.
	Alone Outcome = "alone"
	// Ahead: the connection is ours, of a newer generation than its row's. It
	// was left alone: our database was restored.
	Ahead Outcome = "ahead"
	// Unknown: it may or may not have acted, now or later: a time-out, a lost
	// reply, a 5xx, a body that is not the system's own.
	Unknown Outcome = "unknown"
)

// Client is a UAA client as it should be made.
type Client struct {
	ID            ClientID
	Name          string // shown to whoever lists UAA's clients
	Authorities   []Authority
	TokenLifetime time.Duration
	// Labels go into the client's additional information, where UAA keeps
	// unknown keys (4,096 bytes of JSON at most in 4.30): never a secret.
	Labels map[string]string
}

// Forgotten tells whether UAA shows none of what the client was labelled with: there may
// be a UAA that keeps no such keys. There the row alone tells whose a client is, and that
// they are missing is no drift. Nor is it where somebody took all of them away by hand:
// labels are for people and for clients without a row, and no identity rests on them.
func (c Client) Forgotten(shown Client) bool {
	for key := range c.Labels {
		if _, kept := shown.Labels[key]; kept {
			return false
		}
	}
	return len(c.Labels) > 0
}

// Clients is one environment's UAA. Every method tries exactly once, within the
// context's deadline, after which no byte of it is written any more; whoever
// calls decides on repeating. The error explains any outcome but Done and
// NotThere; it holds no secret and is meant for logs.
type Clients interface {
	// Create makes the client with exactly one secret. Rejected may come with a *Refusal,
	// as for Connections.Put. Exists settles nothing
	// on a repeat: probe. Differs: UAA answered other lists than were asked,
	// and the client is there.
	Create(ctx context.Context, client Client, secret Secret) (Outcome, error)
	// Update puts the client's lists, in full: an empty one is sent as
	// ["uaa.none"], since UAA keeps the old list on []. Differs: the answered
	// lists are others. NotThere: there is no such client.
	Update(ctx context.Context, client Client) (Outcome, error)
	// Delete takes the client away: Done, or NotThere if it was gone already.
	Delete(ctx context.Context, id ClientID) (Outcome, error)
	// Probe asks for a token with the secret: Done if it is granted, Differs if
	// it is granted with other authorities than the client should have, NotThere
	// if the credentials are refused. It changes nothing.
	Probe(ctx context.Context, client Client, secret Secret) (Outcome, error)
	// Read compares what UAA holds with how the client should be: Done, Differs
	// (lists, life of tokens, labels), or NotThere. It costs UAA no password hash.
	Read(ctx context.Context, client Client) (Outcome, error)
	// AddSecret gives the client a second secret: Done, NotThere (no client), or
	// Exists (it has two already), which settles nothing on a repeat: probe.
	AddSecret(ctx context.Context, id ClientID, secret Secret) (Outcome, error)
	// DropSecret takes the older of two secrets away: Done, NotThere (no client),
	// or Alone (it has one only), which settles nothing on a repeat: probe.
	DropSecret(ctx context.Context, id ClientID) (Outcome, error)
	// ReplaceSecret leaves the client with this one secret, whatever it had: Done
	// or NotThere.
	ReplaceSecret(ctx context.Context, id ClientID, secret Secret) (Outcome, error)
	// RevokeTokens makes UAA refuse every token that the client has got so far:
	// Done or NotThere. Whoever verifies offline accepts them until they expire.
	RevokeTokens(ctx context.Context, id ClientID) (Outcome, error)
	// List gives every client whose id begins with "afi-", page by page, until
	// page returns an error, which is returned as it is. Its pages are not one
	// moment's: what it says is a hint, never a proof.
	List(ctx context.Context, page func([]FoundClient) error) error
	// Available tells why a call would not be sent now, as when the breaker is
	// open; nil: it would be.
	Available(ctx context.Context) error
	// Endpoints gives what UAA's discovery document says of itself. It is
	// remembered after the first success.
	Endpoints(ctx context.Context) (Endpoints, error)
}

// FoundClient is a client as a list shows it. Its authorities are sorted.
type FoundClient struct {
	Client
	// Plain: it has no scope, and no grant type but client_credentials.
	Plain bool
}

// Endpoints are the addresses in a UAA's own discovery document.
type Endpoints struct {
	Issuer   string // compare with a token's iss
	TokenURL string
	JWKSURL  string
	ZoneID   string // "uaa" for the default zone
}

// Connection is a connection as it should stand in Airflow. Its type is always
// http and it has no port, schema or extra: a stock HttpHook then fetches a
// token with no plugin and no path.
type Connection struct {
	Marker      Marker
	Team        Team   // Airflow's team that has it, or "" for none
	Host        string // UAA's full public token endpoint
	Login       ClientID
	Description string // for people; the marker is appended by Describe
}

// Describe gives the description that Airflow shows: the sentence, then the marker.
func (c Connection) Describe() string { return c.Description + " " + c.Marker.String() }

// Connections is where an environment's DAGs look their connections up: Airflow's
// REST API today. The contract is that of Clients: one try, one outcome.
type Connections interface {
	// Available is as for Clients.
	Available(ctx context.Context) error
	// Put posts the connection. Exists settles nothing: read the marker. Where it is
	// Rejected and the reason is fit for the one who asked, the error wraps a *Refusal.
	Put(ctx context.Context, connection Connection, secret Secret) (Outcome, error)
	// Read compares what is there with how it should be: Done, Differs (ours,
	// but edited or of an older generation), Ahead (ours, of a newer one), Foreign
	// (the id is taken by anything else) or NotThere. What it cannot compare is the
	// password. generation is the marker's, if it is ours.
	Read(ctx context.Context, connection Connection) (generation int, outcome Outcome, err error)
	// Update reads the marker and patches everything but extra if it is this
	// very connection and not of a newer generation: Done, NotThere, Foreign or
	// Ahead, and then it was left alone. Only the PATCH can be Unknown. The marker
	// is read back from its answer. generation is the one that was read.
	Update(ctx context.Context, connection Connection, secret Secret) (generation int, outcome Outcome, err error)
	// Remove reads the marker and deletes the connection if it is this very
	// one: Done, NotThere, or Foreign, and then it was left alone. Only the
	// DELETE can be Unknown: a read that fails is Later.
	Remove(ctx context.Context, marker Marker) (Outcome, error)
	// List gives every connection that carries a marker, or whose login begins
	// with "afi-", page by page, as Clients.List does.
	List(ctx context.Context, page func([]FoundConnection) error) error
}

// FoundConnection is a connection as a list shows it.
type FoundConnection struct {
	// Connection is what is compared with a row. Its Description is without the
	// marker; where there is none, Marker.Connection alone is set.
	Connection
	Marked bool
	// Plain: its type is http, and it has no port and no schema.
	Plain bool
	// Proxied, Unverified: extra, which is not ours, sends what tasks say through
	// a proxy, or does not check certificates.
	Proxied, Unverified bool
}

// Marker stands at the end of a connection's description and says whose it is.
// It counts only together with a row that agrees in broker, connection and identity.
type Marker struct {
	Broker     BrokerID
	Connection ConnectionID
	Identity   ID
	Generation int
}

// String gives the marker as it is written: [afi1 broker connection identity generation].
func (m Marker) String() string {
	return fmt.Sprintf("[afi1 %s %s %s %d]", m.Broker, m.Connection, m.Identity, m.Generation)
}

// SameOwner tells whether both name one broker, connection and identity.
func (m Marker) SameOwner(other Marker) bool {
	return m.Broker == other.Broker && m.Connection == other.Connection && m.Identity == other.Identity
}

// ParseMarker finds the marker at the end of a description.
func ParseMarker(description string) (Marker, bool) {
	description = strings.TrimRight(description, " \t\r\n")
	start := strings.LastIndex(description, "[")
	if start < 0 || !strings.HasSuffix(description, "]") {
		return Marker{}, false
	}
	fields := strings.Fields(description[start+1 : len(description)-1])
	if len(fields) != 5 || fields[0] != "afi1" {
		return Marker{}, false
	}
	generation, err := strconv.Atoi(fields[4])
	if err != nil || generation < 1 {
		return Marker{}, false
	}
	return Marker{
		Broker:     BrokerID(fields[1]),
		Connection: ConnectionID(fields[2]),
		Identity:   ID(fields[3]),
		Generation: generation,
	}, true
}
