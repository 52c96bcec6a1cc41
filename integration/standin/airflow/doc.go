// Package airflow is a stand-in of Airflow 3.3.2 with its simple auth manager, as it
// was measured (reference: Airflow, measured): an HTTP server on loopback that keeps
// the real one's rules for the calls a broker makes, and answers its statuses and
// bodies. A refused body is echoed as `input`, with the password in it, as there. With
// Config.Version it is an Airflow 2.11.2 instead, as measured too: see below.
//
//	call                                    who
//	POST /auth/token, /auth/token/cli       everybody who knows a login
//	POST /api/v2/connections                role op or admin
//	GET /api/v2/connections                 role op or admin, see below
//	GET, DELETE /api/v2/connections/{id}    role op or admin
//	PATCH /api/v2/connections/{id}          role op or admin; update_mask is a key for each field
//	GET /api/v2/version                     everybody
//	GET /api/v2/monitor/health              everybody
//	GET /execution/connections/{id}         a running task, see [Server.TaskToken]
//
// A list has 50 connections unless the query has a limit, and never more than 100. It
// has the order in which they were made, or that of order_by, which may come several
// times. connection_id_pattern finds its text anywhere in an id, in any case, and an
// underscore in it stands for any letter; connection_id_prefix_pattern leaves marks at
// the end of its text out. In both a bar separates alternatives. All this was measured,
// and tried with the queries of this package's tests, on SQLite.
//
// # Airflow 2
//
// It has /api/v1/connections with the same verbs, /api/v1/version and /health, and a
// page for everything else. Users log in with every call, by Basic; who is unknown and
// who may not get the same 403; /api/v1/pools is everybody's who is logged in. Its tests hold what 2.11.2 answered on SQLite. Two
// things were not expected: of several update_mask the last alone counts, and a DELETE
// that claims JSON and has no body is answered with 400.
//
// # Logins
//
// Beside its users each version takes ready-made tokens (Config.Tokens), and those that
// Config.Clients get by the grant client_credentials at [Server.TokenURL], which is no
// part of a real Airflow. With Config.Clients POST /auth/token takes a client too, as
// the Keycloak auth manager does; how that refuses was not measured.
//
// # Teams and FAB
//
// With Config.Teams [core] multi_team is on: a connection may have a team, which must be
// there, and whoever touches it must be in it or an admin; else a team_name is refused.
// That is 3.3.2's, measured and read. With Config.FAB POST /auth/token takes JSON alone,
// and its tokens name a user by number and no role (provider 3.10.2, measured). After
// [Server.ChangeKey] every older token gets 403 "Invalid JWT token".
//
// # Reads
//
// Reads of the API show "***" for a password and for the values in extra whose key
// looks secret. Only a task reads them in clear.
//
// # Left out
//
//	what                                       instead
//	bulk, test, defaults                       501 that names itself a stand-in
//	DAGs, variables, pools, event log          501
//	the UI                                     any other GET is an empty page
//	secrets backends, AIRFLOW_CONN_ variables  none; the metastore is all there is
//	other auth managers, tokens in cookies     simple or FAB, and the Authorization header
//	API 1 on Airflow 3                         as Airflow 3 answers: removed
//	Airflow 2 apart from its API 1             pages; a task cannot read there
//	how Postgres and MySQL sort                by bytes and null first, as SQLite
//	a limit or offset of 1.0, or of 2^64       422; there 1, and 100 or a 500
//	more than 10 order_by                      they all count
//	lengths that only Postgres enforces        none, as on SQLite
//	empty texts apart from null                both are null, but for conn_type
//
// What the execution API answers to a bad token was not measured; it is 401 without
// one and 403 with another's.
package airflow
