// Package standin is what the stand-ins of UAA and Airflow share: a server on
// loopback and the faults that can be put between it and its clients.
//
// The stand-ins themselves are in the folders below. Each is a real HTTP server
// that keeps the real system's rules and answers its statuses and bodies, as they
// were measured; what it leaves out stands in a table in its package comment.
//
// # Faults
//
// A [Fault] is a rule: which call, after how many, and what happens to it. The
// kinds are the ways in which a caller can be left in doubt:
//
//	kind        acts        the client sees
//	Answer      no          the status, header and body of the rule
//	LoseBefore  no          a connection that was cut
//	LoseAfter   yes         a connection that was cut
//	Slow        yes, later  the ordinary reply, if it is still there to see it
//	Notice      yes         the ordinary reply
//
// Go's HTTP client repeats a GET by itself if a connection that it has used before
// is cut; give such a rule Times to spare.
//
// A request acts once it was read whole and whatever becomes of its client, as
// with the real systems: nothing here looks at a request's context. Closing the
// server is the end of the process that it imitates: what is still held then does
// not act any more, and Close returns when nothing is running.
package standin
