//go:build unix

// Package postgres starts a real Postgres of one's own, from binaries that are
// installed already, for dev, demo and every test that needs SQL.
//
// It is a launcher, not a manager: initdb, one process, one database cluster. It
// downloads nothing, and it would rather refuse than touch data it did not make.
// Not for production, where DATABASE_URL names a server that somebody looks after.
//
// How one gets in. Every server has a socket in a folder that only its own user
// and root can enter; whoever gets there is trusted. TCP is opened only where
// Config.Port asks for it, on loopback, and then demands a generated password
// (SCRAM). So two servers never compete for a port, and no other user of the
// machine can reach a test's database.
//
// StartPooler puts a PgBouncer before a server, as its user and on a socket too.
//
// As root, Postgres refuses to run. The server then runs as the owner of an
// existing data folder, else as "postgres", else as "nobody". Where that user
// cannot walk to the data folder (a 0700 folder of root's, such as mktemp -d
// makes), Linux hands it an open descriptor of the folder, so that no parent's
// mode needs to be loosened; elsewhere the error names the folder in the way.
//
//	what goes wrong                       what happens
//	------------------------------------  ------------------------------------------
//	no binaries                           the error names the package to install
//	data folder of another major version  binaries of that version are looked for,
//	                                      else refused; nothing is written
//	folder with other things in it        refused; nothing is written
//	killed in the middle of initdb        it worked in a folder beside the wanted
//	                                      one, named *.initdb-*; only that is left
//	power lost, Durable false             the cluster may be beyond repair: it was
//	                                      told not to wait for the disk
//	stale postmaster.pid                  Postgres finds out itself and goes on
//	two servers on one data folder        Postgres refuses the second
//	somebody else has the port            ErrPortTaken; another may do
//	we are killed                         the server stops at once (see child), its
//	                                      temporary folder goes too
//	the server is killed                  connections fail; Stop still cleans up
package postgres
