//go:build unix

// Package real installs and starts the systems that the broker is made for: a UAA in
// Tomcat and an Airflow, each on loopback with a database of its own that lasts as
// long as the process. Which versions there are is one table, Targets. A stand-in can
// be wrong in the same way as the code that is tested against it; these cannot.
//
// Tests behind the build tag e2e use it, and demo --real. They start what they need:
//
//	uaa, err := real.StartUAA(ctx, real.UAAConfig{})
//	airflow, err := real.StartAirflow(ctx, real.AirflowConfig{Version: "2.11.2"})
//
// Install puts everything into one cache folder and is done in no time when it is
// there; `make e2e` and demo --real call it first. What belongs to the operating system (a Java 17,
// Maven, a Python 3.11 with venv, PgBouncer) comes from the system's package manager,
// all else from published packages at exact versions, each compared with a pinned sum.
//
//	what goes wrong                    what happens
//	---------------------------------  ---------------------------------------------
//	a package is not what it was       the install fails and names the file or pin
//	install interrupted                no .complete in its folder: it starts over
//	two installs at once               the second waits for the first (a file lock)
//	one of several parts fails         the others stop too, and start over next time
//	a recipe changes (lock, version)   .complete holds the old one's sum: made again
//	no package manager that we know    the error lists what to install by hand
//	UAA cannot deploy                  it answers 503 for ever; StartUAA fails at once
//	somebody else takes its port       it is started on another one, twice at most
//	the server dies while starting     the error carries the end of its log
//	the test is killed                 the servers go with it (see child)
package real
