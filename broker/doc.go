// Package broker is the face that the platform sees: Open Service Broker API
// 2.17 over HTTP, a file per verb. It parses, asks catalog what is allowed, asks
// the core to do it, and answers; it knows nothing of UAA or Airflow.
//
// brokerapi routes, decodes and encodes. What it leaves open is closed around
// it, one idea in each file, outermost first:
//
//	file                     idea                                               answers
//	exchange.go              a request id for everything, echoed always
//	answer_log.go            one line in the log for each answer
//	recovery.go              a panic is an answer too                           500
//	login.go                 two logins, so that one can be changed             401
//	api_version.go           2.13 and later of major 2                          412
//	identities.go            request and originating identity can be recorded   400
//	routes.go                what there is, and ids that mean one thing only    404 405 400
//	body.go                  a body that brokerapi is certain to understand     413 400
//	catalog.go               a catalog that is known already                    304
//	library_log.go           brokerapi's log lines without what was in requests
//
// Beyond these every error passes through one table, in answers.go. brokerapi
// never sees a raw error: it would send its text to the user.
//
// What was in a request's parameters is never logged. A sentence for the user
// may name a single authority or connection id; a log line holds the answer's
// status and word, and the ids of the guardrails.
//
// Every operation is tried synchronously first. The core tells of one that goes on
// behind the answer by a *identity.PendingError, and only to a platform that said
// accepts_incomplete; that is a 202 (pending.go), and last_operation.go tells the
// rest. A provision touches nothing but the database and is never asynchronous.
//
// What the platform believes of an instance's plan may lag behind an update, so
// the plan that a request names has to be the instance's own only where something
// is judged by it. A delete never fails for it.
package broker
