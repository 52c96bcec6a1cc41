// Package identity is the core: workload identities, and the one path that makes
// UAA and Airflow agree with what their rows say.
//
// # Idea
//
// A row says what should be. Everything the broker does (bind, update, unbind,
// rotate, mend what somebody changed, expire, clean up after a crash) writes a wish
// into a row and then runs the same function over it, [Engine].converge:
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
// connection and its second secret. What is known of a thing is its phase. Client
// and connection live the same life:
//
//	absent     never asked for
//	creating   a make was intended; whether it acted is not known
//	missing    it was not there when we looked, and may still arrive
//	present    it is there
//	outdated   it is there, and not as the row says
//	changing   a set was intended; whether it acted is not known
//	doubted    it was there, and somebody may have changed it
//	lost       it was there, and somebody has taken it away
//	foreign    something that is not ours has this id
//	removing   a take was intended; whether it acted is not known
//	gone       it is not there any more
//
// An intent is committed before its call, and an intent is all that is left of a
// process that died, so between turns an intent and an unknown outcome are one
// and the same phase.
//
// # Rotation
//
// A client has one secret always and a second one while a rotation overlaps. The
// second is a thing like the others:
//
//	single     there is one, the one that Airflow has
//	creating   an add was intended, or UAA took it: no token has come with it yet
//	missing    it was not there when we asked
//	crowded    UAA says there are two already: is the newer ours?
//	stray      UAA holds one that is not ours, or refuses the one that Airflow has
//	changing   a reset was intended: Airflow's secret is made the only one
//	dropping   the older of two that nobody here knows was to be taken away
//	present    there are two, and the newer is proven
//	removing   a retire was intended
//	unproven   UAA says there is one only: is it the one that Airflow has?
//
// The row has a place for each of three secrets. The candidate is drawn with the
// intent to add it, and the same one is added again until it is there. Once it is
// proven, the turn that says so is the intent to publish it: the generation is
// raised, the candidate becomes the secret, the secret becomes the old one, and the
// connection is outdated. From when the connection is proven to have it, the old
// one stays valid for the soak and one time-out.
//
// When is a matter of times in the row: rotate_at, which keeps its place in the half
// period, so that identities never line up, and retire_at, which is stamped at
// publish and moves no more. How is the table's.
//
// # next
//
//	wish      phase      act      waits for quiet
//	wanted    absent     make     yes  (the id's last owner may have left a request behind)
//	wanted    creating   look
//	wanted    missing    make          (the same request, with the same secret)
//	wanted    present
//	wanted    outdated   set      yes
//	wanted    changing   set           (the same request, unless the wish has changed since)
//	wanted    doubted    check
//	wanted    lost       restore  yes  (a client only if its connection is there, a connection
//	                                   only if its client is; both lost wait for an operator)
//	wanted    foreign
//	unwanted  absent
//	unwanted  removing   take          (the same request)
//	unwanted  gone
//	unwanted  all else   take     yes  (what is foreign is read and left alone)
//
// and for the second secret, where the client itself is as it should be:
//
//	single    add      yes  when a rotation is due, and no freeze holds it
//	          revoke   yes  when tokens of a leaked secret are left
//	creating  verify
//	missing   add      yes  (the same secret)
//	crowded   sort
//	stray     reset    yes  (drop after a restore, when what is there is newer than the row)
//	changing  reset         (the same request)
//	dropping  drop     yes
//	present   retire   yes  when it is published and the soak is over, or the secret has leaked
//	removing  confirm  yes  (retire again, where the older one is not known)
//	unproven  confirm
//
// Before UAA is touched for the secret's sake, and before a lost client is made
// again, the connection is read under the same lease. It must be this identity's
// and of the row's generation: below that is drift, and mended first; above it, our
// database was restored, and the identity is held. Nothing is done unasked for what
// is held: no check, no rotation, no repair. What the platform asks for is done.
//
// The wish is derived, never stored: wanted as long as a live binding refers to
// the identity, it has not expired, it was not revoked and it has not ended. The
// first turn that finds otherwise stamps ended_at, and that is final. An update
// rolls forward: it makes things outdated, and is sent until it is there. things.go
// holds what each outcome makes of a phase.
//
// # Sweeps
//
// Now and then what UAA and Airflow list is compared with the rows, page by page. A
// list is no proof, so a sweep mends nothing: it doubts, and the row's own converge
// looks. A few secrets are tried each time; if one is refused, all are. A sweep that
// is broken off begins anew soon, and still tries all if that was its task. A client
// that is named as ours are, and that no row knows, is told of in the log.
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
//	our privileges in UAA are wrong   nothing is changed in that environment, removals included,
//	                                  and creates are refused, until they are right
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
//	a connection is edited, deleted   it is put back by the next sweep
//	its marker is removed             it is left alone, and not rotated
//	a client is altered, deleted      it is put back, if its connection is there
//	UAA forgets what clients are      labels are not looked at: whose a client is, the row says
//	labelled with
//	both are gone                     they stay so until an operator applies
//	UAA is restored                   the secrets that Airflow has are put back
//	the database is restored          what Airflow has is newer: held until an operator accepts
//	a remote is down                  rotation is late, and the old secrets stay valid
//	two secrets, the newer not ours   Airflow's is made the only one, then the add again
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
//  8. A client has two secrets in a soak only, and its row knows both and when the
//     former goes; else it has one, and the row no other. The generation of the row
//     is the one in Airflow. Held rows are excepted.
//  9. At every moment, not only at rest, UAA accepts the secret that Airflow has, and
//     each that Airflow had for a soak after the next was published. Once the former
//     is retired it is refused.
//  10. Every change of a client's secrets is an event, but for one that was under way
//     in a broker that died, and every rotation is one.
package identity
