// Package contract holds what the program takes for granted of the systems it talks to,
// as cases that can be tried on any of them: a UAA, an Airflow 2, an Airflow 3.
//
// A case is one fact: a status, the body that goes with it, an effect. Its calls are made
// by hand, and not by the packages uaa and airflow: a fact is the remote system's, and
// must not be true because the adapter is kind. The same list is run
//
//   - against the stand-ins, with every test;
//   - against the real systems, where each verdict must be the stand-in's;
//   - by an operator, against theirs: airflow-identity doctor --contract ENVIRONMENT.
//
// # Verdicts
//
//	verdict                  means
//	-----------------------  -----------------------------------------------------------
//	holds                    it was seen
//	does not hold            something else was seen, and it says what: the program may
//	                         lose secrets or leave things behind there
//	otherwise, and handled   versions differ in it, and the program is made for this too
//	cannot be known here     the login may not do it, or nothing tells
//
// Some cases are gates: without a login, or the right to edit connections, the rest
// is not tried.
//
// # What it leaves behind
//
// Nothing. What it makes has a random name that begins with "contract-" (a connection's
// id with the configured prefix before it), so that no sweep takes it for an identity: it
// has neither the "afi-" of our clients nor our marker. It is removed after each case,
// after a failure and after a cancelled context as well, and what could not be removed
// is named in [Report.Left]. A process that is killed leaves the things of one case.
//
// No secret is in a report: what is kept of an answer is its status and its words, unless
// these repeat a secret that the suite knows.
package contract
