// Package remote is what the clients of remote systems share: how a call is
// sent, how long it is waited for, and above all what is known once it has
// failed.
//
// A broker that does not know whether a call acted can neither repeat nor undo
// it. So two facts are established for every call and are never guessed from an
// error's text:
//
//   - whether a byte of the request was ever handed to the network. The
//     connection itself keeps that record (see wire), because net/http's errors
//     do not tell a refused dial from a lost reply;
//   - whether an answer is the system's own. Routers, proxies and login pages
//     stand in front of every remote system and answer in its name. Only the
//     adapter, which knows the system's bodies, can say so.
//
// Error carries both, and its Outcome is one table for all systems:
//
//	what happened                                            outcome
//	-------------------------------------------------------  --------
//	dial, TLS or proxy failed; the deadline passed before    Later
//	  the first byte; no token for the call could be had; no
//	  slot came free in time; the breaker is open
//	the system's own 401, 408, 429: refused before it acted  Later
//	the system's own 4xx otherwise                           Rejected
//	time-out or lost reply after the first byte              Unknown
//	5xx; 3xx; a body that is not the system's own, cannot    Unknown
//	  be read, or is too long, whatever its status
//	a router's 404, 502, 503 (X-Cf-Routererror)              Unknown
//
// Two of them deserve a reason. A 401 is Later, not Rejected: it is about our
// own login, never about what was asked, and a password that is being changed
// must not fail people's bindings for good. A router that says it has no such
// app has delivered nothing, and is still Unknown: a router in front of another
// router says the same of an instance that vanished while the request was in it.
//
// The error of a certificate that is not trusted says what to do, since whoever reads it
// has named the CA in the configuration, or forgot to.
//
// A call never outlives the lease under which it is made. Its deadline stands on
// the connection, is compared with the clock before every write, and no byte is
// written once the call has returned: a process that was stopped and wakes up
// after another has taken over finds its pen dry. What remains is the moment
// between that look at the clock and the system call behind it; the quiet time
// of the core covers it.
//
// Every call, logins too, passes through System.Do, and there a gate. It waits
// for a slot and for its place in the rate, but no longer than half of its time:
// better not sent than cut off. And it is turned away at once while the system
// is down, which a breaker tells by failures in a row (see Breaker).
package remote
