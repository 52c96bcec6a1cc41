// Package identity is the core: workload identities, and the one path that makes
// UAA and Airflow agree with what their rows say.
//
// # Idea
//
// A row says what should be. Everything the broker does (bind, update, unbind,
// expire, clean up after a crash) writes a wish into a row and then runs the same
// function over it, [Engine].converge:
//
//	turn: what was learnt, what follows from it, the next steps   one transaction
//	do:   the steps' remote calls, side by side                   no transaction
//	turn: …
//
// The turn that writes a wish carries the first intents and the one that writes
// the last outcome carries the answer, so a bind is two transactions. The same
// row is the queue: the loop claims what is due and runs the same turns.
//
// # Two kinds
//
// An Airflow identity has a connection, which bindings of one instance share; an
// app identity is a client that was handed out, and it ends at its ExpiresAt.
// Nothing else differs. A binding refers to one of either or to both, and each
// identity's own turn writes its own [Part] of the binding, under the binding's
// lock, so neither ever looks at the other.
//
// # Things and phases
//
// An identity's things are its UAA client and, if it is an Airflow identity, its
// connection. Both live the same life. What is known of a thing is its phase:
//
//	absent     never asked for
//	creating   a make was intended; whether it acted is not known
//	missing    it was not there when we looked, and may still arrive
//	present    it is there
//	outdated   it is there, and not as the row says
//	changing   a set was intended; whether it acted is not known
//	foreign    something that is not ours has this id
//	removing   a take was intended; whether it acted is not known
//	gone       it is not there any more
//
// An intent is committed before its call, and an intent is all that is left of a
// process that died, so between turns an intent and an unknown outcome are one
// and the same phase.
//
// # next
//
//	wish      phase      act    waits for quiet
//	wanted    absent     make   yes  (the id's last owner may have left a request behind)
//	wanted    creating   look
//	wanted    missing    make        (the same request, with the same secret)
//	wanted    present
//	wanted    outdated   set    yes
//	wanted    changing   set         (the same request, unless the wish has changed since)
//	unwanted  absent
//	unwanted  creating   take   yes
//	unwanted  missing    take   yes
//	unwanted  present    take   yes  (and outdated, changing)
//	unwanted  foreign    take   yes  (reads the marker and leaves it alone)
//	unwanted  removing   take        (the same request)
//	unwanted  gone
//
// The wish is derived, never stored: wanted as long as a live binding refers to
// the identity, it has not expired and it has not ended. The first turn that finds
// otherwise stamps ended_at, and that is final. An update rolls forward: it makes
// things outdated, and is sent until it is there. things.go holds what each outcome
// makes of a phase.
//
// # Quiet
//
// After an unknown outcome nothing different is sent to that remote for this
// client, or for this connection id by anybody, until two time-outs have passed
// since the send, or since the end of the lease under which it was intended; only
// then does an answer decide. Otherwise a request that acts late undoes what came
// after it. The identical request never waits.
//
// # Leases
//
// A row is worked on under a lease with an epoch that every claim raises. Each
// write of a holder demands its epoch, and no byte of a call is written past the
// lease, so a process that was stopped and overtaken changes nothing.
//
// # When something fails
//
//	what                              then
//	a remote refuses for good         unfinished creates fail; what was made beside is taken away
//	a remote cannot be reached        tried again, 100 ms doubling to 1 min
//	a reply is lost                   looked at, never blindly undone
//	Airflow is gone at unbind         done for the platform once the client is gone; the
//	                                  connection is a debt, tried for ever in a lane of its
//	                                  own, its id reserved
//	a remote is known to be down      a create is refused before anything is written
//	a process is killed               its lease ends, another claims the row; intents are unknown
//	the budget of a create ends       it goes on behind a 202 if the platform allows it, else it
//	                                  is failed and cleaned up behind the answer
//	the first commit's reply is lost  it is looked for under the lock that it held
//	the budget of an update, a        it goes on, behind a 202 or a 5xx
//	removal ends
//	a process is stopped with locks   Postgres ends its transaction after 5 s
//	the process dies with a create    past finish_by it is gone, whoever looks
//	Postgres is lost in a commit      the same turn is tried as long as the lease lasts: outcomes
//	                                  set what is known and add nothing, so twice is once
//	the database's clock jumps        leases and quiet times end early or late by as much
//
// # Invariants
//
// They hold whenever nothing is under way, whatever failed before:
//
//  1. A binding that was answered as made has exactly one client for each of its
//     identities that has not expired, with exactly the authorities of its row, and
//     its Airflow identity one connection, whose secret is accepted by UAA.
//  2. No client or connection of ours exists without a row that wants it, or a
//     debt that names it.
//  3. A binding that is removed has left neither client nor connection, but for
//     a debt; its secret is no longer in the database.
//  4. Nothing was made twice: no client id has more than one create that acted,
//     and no connection id more than one of the same identity.
//  5. A connection that is not ours is as it was.
//  6. A connection id has at most one holder, and one that is free says so.
//  7. Every outcome of a remote call is an event, every change of a binding is
//     one, and no event, log or error holds a secret.
package identity
