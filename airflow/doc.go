// Package airflow is the thin client of one environment's Airflow, 2 or 3: it posts the
// connections in which DAGs find their UAA clients, compares what is there with
// what should be, patches and deletes those that are ours, and lists them.
//
// A connection's description ends with a marker that names broker, connection
// and identity (identity.Marker). It is the only thing that makes a connection
// ours, and it is read before anything is changed or taken away. Nothing is ever
// written that was read before: Airflow masks what it tells, and a mask written
// back is a lost secret.
//
//	call     answer                                           outcome
//	-------  -----------------------------------------------  --------
//	Put      201 (v1: 200) with our connection                Done
//	         409 with a detail                                Exists
//	Read     200, its marker names this owner, and            Done
//	           all that can be compared is as it should be
//	         200, its marker names this owner, and            Differs
//	           a field is another, or the generation older
//	         200, its marker names this owner, and            Ahead
//	           a generation that is newer
//	         200, another marker or none                      Foreign
//	         404 with a detail that is about a connection     NotThere
//	Update   as Read, if it is Ahead, Foreign or NotThere;
//	           and otherwise of the PATCH: 200 with our       Done
//	           connection and the description that was sent
//	         404 with a detail that is about a connection     NotThere
//	         a Read that told nothing                         Later
//	Remove   as Read, if it is Foreign or NotThere;
//	           and otherwise of the DELETE: 204               Done
//	         404 with a detail that is about a connection     NotThere
//	         a Read that told nothing                         Later
//	List     each page: 200 with connections and a total      no error
//	all      4xx with a detail                                Rejected
//	         401, or 403 "Invalid JWT token" (v1: any 403),   Later
//	           after one new login; 408; 429
//	         v1: what Airflow 3 says of an API 1 that is      Later
//	           removed
//	         HTML, 3xx, 5xx, any other body, the router's     Unknown
//	         2xx whose body is not the connection's           Unknown
//
// The password is stars in every answer, or missing, so that of all fields it alone is
// never compared; extra belongs to Airflow's operators, and List alone looks into it,
// for what it does to a token on its way, where Airflow shows it: v1 does not.
//
// # Two dialects
//
// What differs between the APIs stands in v1.go and v2.go. Which one Airflow speaks is
// known from the login where only one has it, and is asked for otherwise, at the path
// of each API's version; only a version that belongs to its path is believed. It is
// asked again once an answer says that the API is gone: an upgrade costs one call,
// which is Later, and a downgrade one that is Unknown.
//
// # Teams and refusals
//
// A connection with a Team is posted and patched with its team_name, which then is
// compared as well; one without never names any, and whatever stands there is left alone.
// Where a POST is refused for what somebody can mend (a role, a team), the error says so in
// words for the one who asked: refusal.go has them.
//
// # Logins
//
//	Password           3      POST /auth/token, renewed after 70 % of its life
//	Keycloak           3      the same, as a client
//	Basic              2      with every call
//	Token              2, 3   with every call, read anew for each
//	ClientCredentials  2, 3   of an OAuth server, renewed after 70 % of its life
//	Exec               2, 3   of a command, renewed after 70 % of its life
//
// A refused token is renewed once, and the call repeated if the new one is another.
// Airflow 2 says the same, 403, to a login that is wrong and to one that may not; it is
// taken for the first, which may pass, so that a missing permission is tried for long
// and told in the error. Put alone, for which somebody waits, asks which of both it is.
//
// The rest, for calls that got no answer, is in package remote.
//
// Airflow's refusals repeat the request they refuse, password and all, under
// "input". So of a refusal's body nothing is kept but a detail that is a
// sentence, or the place and message of each item, and even those only if they
// repeat no secret.
package airflow
