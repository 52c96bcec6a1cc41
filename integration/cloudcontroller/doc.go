// Package cloudcontroller is Cloud Controller as a service broker meets it: what
// it sends, how it reads what comes back, when it asks again, and what it makes of
// all that for the user of the cf CLI.
//
// # Idea
//
// A broker is never used but through a platform, and what a platform does with an
// answer is not what one would think. An answer that is right by the specification
// may leave a service instance that nobody can delete; one that is wrong may be
// taken for success. So tests do not ask what the broker answered. They ask this
// model to do what people do, and then what those people would see.
//
//	file            what it models
//	controller.go   what it is made of
//	cf.go           the commands of the cf CLI that reach a broker, each a method
//	services.go     create, update and delete of instances
//	bindings.go     bind, unbind, keys, and which binding an app is given
//	jobs.go         the queue behind them: polling, and its ends
//	mitigation.go   the deletes that are sent when a create is in doubt
//	catalog.go      what of a catalog is accepted, and when it is read
//	readings.go     how an answer is read: one table
//	wire.go         headers, time-out, redirects, and each exchange as evidence
//	versions.go     what clients of 2.13 to 2.17 know of
//	contract.go     every exchange held against the specification's own document
//	database.go     what Cloud Controller remembers, and cf shows
//	clock.go        its time, which a test may let leap
//
// # Facts
//
// Each is a trap that some broker fell into.
//
//	what                                                             source
//	headers, basic auth on every call, a new request id for each     client.rb, http_client.rb
//	redirects are followed with method and body kept                 httpclient's client.rb
//	DELETE carries its parameters in the query                       client.rb
//	PATCH carries "parameters": {} when the user gave none           service_instance_update_managed.rb
//	how each answer is read                                          response_parser.rb
//	a time-out, a bad response and a malformed 201 or 202 of a
//	create are mitigated; a reset, a refused connection, 408 and
//	4xx are not                                                      client.rb
//	mitigation: at once, then +2, 4, 8 … 1024 min, 11 attempts;
//	no user, 202 taken for done                                      delete_orphaned_binding.rb
//	polls: at once, then every max(60 s, Retry-After), for 7 days
//	or the plan's maximum_polling_duration; the limit is looked at
//	before the next poll is planned, so the last one may never come  reoccurring_job.rb
//	a poll answered 400 has failed, 410 is success of a delete and
//	nothing of a create, all else is asked again                     response_parser.rb
//	after an async bind succeeded the credentials are read by GET    service_binding_create.rb
//	a delete first unbinds everything, and fails while any of that
//	goes on                                                          service_instance_delete.rb
//	the newest binding that succeeded is the app's                   RFC-0040
//	a create that failed is mitigated by the next create of its name service_credential_binding_app_create.rb
//	purging calls nobody; the catalog is read when a broker is
//	created or updated, never in between
//
// The files named are those of cloudfoundry/cloud_controller_ng, and of the gem by
// which it speaks HTTP. What names none is told by Cloud Foundry's documentation.
//
// Of one thing the sources differ: whether a create whose polling took too long is
// mitigated. Here it is; a broker must not count on it, and its tests must show
// that it has cleaned up before.
//
// # Left out
//
// Route bindings, volume mounts, syslog drains, sharing of instances, dashboards'
// UAA clients, quotas and visibility: the model has one org, one space and one
// user. Legacy v2 keys, which are mitigated without accepts_incomplete. The delete
// job of the newest releases, which waits for unbinds where the one here fails and
// is repeated. A time-out covers the whole exchange; the real one is per connect,
// send and receive.
//
// A Controller is used by one goroutine at a time, and its queue runs when a test
// says so: that is what makes its tests tell the same story each time.
package cloudcontroller
