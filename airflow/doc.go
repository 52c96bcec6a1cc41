// Package airflow is the thin client of one environment's Airflow: it posts the
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
//	Put      201 with our connection                          Done
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
//	         401, or 403 "Invalid JWT token", after one       Later
//	           new login; 408; 429
//	         HTML, 3xx, 5xx, any other body, the router's     Unknown
//	         2xx whose body is not the connection's           Unknown
//
// The password is stars in every answer, so that of all fields it alone is never
// compared; extra belongs to Airflow's operators, and List alone looks into it, for
// what it does to a token on its way.
//
// The rest, for calls that got no answer, is in package remote.
//
// Airflow's refusals repeat the request they refuse, password and all, under
// "input". So of a refusal's body nothing is kept but a detail that is a
// sentence, or the place and message of each item, and even those only if they
// repeat no secret.
package airflow
