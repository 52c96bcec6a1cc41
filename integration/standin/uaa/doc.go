// Package uaa is a stand-in of UAA 4.30.0 as it was measured (reference: UAA,
// measured): an HTTP server on loopback that keeps the real one's rules for the
// calls a broker makes, and answers its statuses and bodies, the odd ones too.
//
//	call                                         who
//	GET, POST /oauth/token                       the client itself, Basic (never URL-decoded) or form
//	POST /oauth/clients                          clients.write, clients.admin, uaa.admin
//	POST /oauth/clients/restricted               the same, without UAA's own authorities
//	GET /oauth/clients/{id}                      clients.read, clients.admin, uaa.admin
//	PUT /oauth/clients/{id}                      as POST; it merges, see below
//	PUT /oauth/clients/restricted/{id}           the same, without UAA's own authorities
//	DELETE /oauth/clients/{id}                   as POST
//	GET /oauth/clients                           as GET of one; see below
//	PUT /oauth/clients/{id}/secret               clients.admin, uaa.admin; clients.secret its own,
//	                                             with the old one
//	any /oauth/token/revoke/client/{id}          tokens.revoke, uaa.admin
//	POST /check_token                            a client that holds uaa.resource, Basic
//	GET /token_keys, the two discovery paths     everybody
//	GET /healthz                                 everybody
//
// Each server has its own RS256 key, key id and issuer. Secrets are kept as bcrypt
// hashes, and every hash made or compared is counted ([Server.Hashes]): hashing is
// the real UAA's bottleneck. As there, a match is remembered for 300 seconds and a
// mismatch never.
//
// A PUT keeps what is left out, an empty list is as good as left out, and the
// secret is never touched. But an additional key that is null undoes the merge: the
// body alone is the client then, and without grant types that is a 400.
//
// A client has one secret or two, the older first, which is the one that DELETE drops
// and that logins are compared with first. A token is tied to the newer, and good
// while that is one of them. Changes are not kept apart: two that overlap are both
// answered 200, and the later write wins ([Config.BeforeSecretWrite]). A revocation
// puts a new token_salt into the client, where everybody sees it.
//
// The form field authorities={"az_attr":{"dag":"d1"}} puts these texts into the token, its
// answer and check_token's.
//
// A list shows 100 clients, and 500 at most, from startIndex on, by client_id or
// lastmodified; its itemsPerPage is the count asked for or the total, not the number
// shown. Its filter knows client_id with eq, sw, co and pr, in any case of letters,
// and "_" and "%" in it are wildcards of the database. Whatever it cannot read is a
// 500.
//
// # Zones
//
// Config.Zones are identity zones, each with clients and an issuer of its own, and all with
// one signing key. A zone answers at its subdomain of the host. A token of the default zone
// that holds zones.<id>.admin, or .clients.admin, .read or .write, or uaa.admin, manages a
// zone's clients through X-Identity-Zone-Id or -Subdomain: an unknown zone is a 404, and
// one where it may nothing a 403. But for uaa.admin it cannot revoke tokens there (tried
// on 4.30.0).
//
// # Left out
//
//	what                                         instead
//	tx, meta, clientjwt, other filters of lists  501 that names itself a stand-in
//	introspection, opaque tokens                 501; tokens are always JWTs
//	revocation of one token, or a user's         501
//	grants other than client_credentials         400 unsupported_grant_type
//	zones in a snapshot, and how they are made   Config.Zones
//	users, groups, login pages                   302 to /login
//	audit log, rate limit, database outages      faults, see package standin
//	lost updates of parallel changes             every change but of a secret is atomic
//	500 for some parallel DELETEs of a secret    200 or 400, as the others
//	the hash UAA may compare for unknown ids     none is compared
//
// Texts that no measurement gave (a missing secret, a bad signature) are those of
// UAA's public sources as far as known; a client should look at the status and the
// error code only.
package uaa
