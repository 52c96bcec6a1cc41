// Package uaa is the thin client of one environment's UAA: it makes, updates,
// reads, lists, probes and deletes UAA clients, changes their secrets and revokes
// their tokens, and knows what UAA's answers prove.
//
// It is our own because the libraries hide what the core lives on: go-uaa has
// no context, no status in its errors and no way to tell a lost reply from a
// refusal. UAA's answers are full of traps, and this is what they are taken for:
//
//	call    answer                                            outcome
//	------  ------------------------------------------------  --------
//	Create  201, the lists as asked                           Done
//	        201, other authorities, scopes or grant types     Differs
//	        409 with a JSON error                             Exists
//	Update  200, the lists as asked                           Done
//	        200, other authorities, scopes or grant types     Differs
//	        404, empty, not the router's                      NotThere
//	Delete  200 with the deleted client                       Done
//	        404, empty, not the router's                      NotThere
//	Probe   200 with an access_token                          Done
//	        401 "Unauthorized grant type": the secret passed  Done
//	        401 unauthorized, invalid_client                  NotThere
//	Read    200, the client as asked, perhaps more labels     Done
//	        200, other lists, life, name or labels            Differs
//	        404, empty, not the router's                      NotThere
//	*Secret 200 that says ok, and speaks of a secret          Done
//	        400 "... client already has two secrets."         Exists
//	        400 "... client has only one secret."             Alone
//	        404, empty, not the router's                      NotThere
//	Revoke  200, empty, not the router's                      Done
//	        404 invalid_token "Resource not found", or empty  NotThere
//	        403 with a JSON error: we lack tokens.revoke      Rejected
//	List    200 with the very page that was asked for         its clients
//	        200 with no client before the total is reached    an error
//	all     4xx with a JSON error, or {} (but a 404)          Rejected
//	        401 after one new token; 408; 429                 Later
//	        302, HTML, 5xx, a 404 with a body, the router's   Unknown
//	        2xx whose body is not the client's                Unknown
//
// The rest, for calls that got no answer, is in package remote.
//
// Creates and updates go through /oauth/clients/restricted, where UAA itself refuses to
// grant its own administration, whoever asks. Two things are refused before they
// are sent, because UAA would take them: an authority with a comma in it, which
// it splits, and labels beyond what it can store, which it answers with 500.
//
// # Zones
//
// An environment may be an identity zone. Our own client is one of the default zone even
// then, and a header moves its calls into the zone; tokens, probes and discovery are at the
// zone's own host. There our client needs zones.<id>.clients.admin alone. UAA's own
// revocation is not to be had with that (4.30.0, tried), so RevokeTokens does what it does:
// it writes another token_salt into the client.
//
// # Our own privileges
//
// With Config.Strict our client must hold what it needs and no more: see [Client.Permitted].
//
// # Lists
//
// Lists are hints. UAA's filter does not mind the case of letters, so ids are looked
// at again; it shows 500 clients at most, whatever is asked, and says of a page how
// many clients it could hold, so they are counted; and the number of all of them may
// change from page to page, so there is an end to it after twice as many as at first.
package uaa
