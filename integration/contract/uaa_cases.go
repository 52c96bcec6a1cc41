package contract

// uaaCases are what package uaa, and what the README promises of tokens, rest on.
// Their sources are pages of UAA as it was measured, and calls of package uaa.
var uaaCases = []testCase[*uaaSite]{
	{"our own client gets a token with its credentials in a form", "measured: token CC; uaa.login", true, ownLogin},
	{"our own client may manage clients", "measured: scope missing; README: the UAA client", true, mayManage},
	{"our own client may revoke tokens", "measured: revoke/client; uaa.RevokeTokens", false, mayRevoke},
	{"our own client holds nothing that it does not need", "README: the UAA client", false, holdsNoMore},
	{"a call without a token is refused with 401 and a JSON error", "measured: no token; uaa.tokenRefused", false, noToken},
	{"a call with a token that is none is refused with 401 and a JSON error", "measured: garbage token; uaa.tokenRefused", false, badToken},

	{"a client is made with 201, and answered as it was asked for, without its secret", "measured: POST client; uaa.Create", false, creates},
	{"its secret gets a token at once", "measured: token CC; uaa.Probe", false, withClient(createdWorks)},
	{"its tokens live as long as was asked", "measured: access_token_validity; uaa.Create", false, lifeIsKept},
	{"additional information is kept and shown", "measured: unknown keys; ownership of clients", false, keepsLabels},
	{"3,500 bytes of additional information are kept", "measured: unknown keys; uaa.labelsMost", false, keepsLongLabels},
	{"an id that is taken is refused with 409 and a JSON error", "measured: POST same id; uaa.Create", false, withClient(taken)},
	{"a refused create leaves the client that is there as it was", "measured: POST same id; uaa.Create", false, withClient(takenIsLeft)},
	{"UAA's own authorities are refused on the restricted path with 400", "measured: restricted POST; uaa.Create", false, restrictedRefuses},

	{"a client is read with 200, without its secret", "measured: GET; uaa.Read", false, withClient(reads)},
	{"reading a client that is not there is 404 with an empty body", "measured: GET missing; uaa.Read", false, readsMissing},
	{"an update with all but the secret is answered as it was asked for", "measured: PUT; uaa.Update", false, withClient(updates)},
	{"an update keeps the secret", "measured: PUT; uaa.Update", false, withClient(updateKeepsSecret)},
	{"an update keeps both of two secrets", "measured: PUT during two secrets; uaa.Update", false, withTwoSecrets(updateKeepsBoth)},
	{"an update to uaa.none leaves nothing", "measured: PUT []; uaa.Update", false, withClient(updateToNothing)},
	{"an authority that is taken away ends the tokens that say it", "measured: check_token, authority removed; README: updates", false, withToken(narrowingEnds)},
	{"updating a client that is not there is 404 with an empty body", "measured: PUT missing; uaa.Update", false, updatesMissing},
	{"a client is deleted with 200 and its last state", "measured: DELETE client; uaa.Delete", false, withClient(deletes)},
	{"deleting a client that is not there is 404 with an empty body", "measured: DELETE missing; uaa.Delete", false, deletesMissing},
	{"a deleted client is gone, and its tokens with it", "measured: check_token, client deleted; README: verifying", false, withToken(deletedIsGone)},

	{"a wrong secret is refused with 401 and unauthorized or invalid_client", "measured: token, wrong secret; uaa.Probe", false, withClient(wrongSecret)},
	{"a client that is not there is refused as a wrong secret is", "measured: token, unknown client; uaa.Probe", false, unknownClient},
	{"a grant that a client does not have is refused after its secret has passed", "measured: token, grant type not allowed; uaa.Probe", false, withClient(wrongGrant)},
	{"a token's answer names the authorities that it has", "measured: token CC; uaa.Probe", false, withClient(answerNames)},
	{"a token says issuer, audience and authorities", "measured: token claims; README: verifying a token", false, withToken(claims)},

	{"a second secret is added beside the first", "measured: PUT secret ADD; uaa.AddSecret", false, withClient(adds)},
	{"a third secret is refused with 400 and UAA's words for it", "measured: ADD again; uaa.AddSecret", false, withTwoSecrets(addsThird)},
	{"DELETE drops the older of two secrets", "measured: PUT secret DELETE; uaa.DropSecret", false, withTwoSecrets(drops)},
	{"DELETE of the only secret is refused with 400 and UAA's words for it", "measured: DELETE again; uaa.DropSecret", false, withClient(dropsOnly)},
	{"UPDATE puts one secret in the place of two", "measured: PUT secret UPDATE; uaa.ReplaceSecret", false, withTwoSecrets(replaces)},
	{"UPDATE ends the tokens so far", "measured: identical UPDATE; uaa.ReplaceSecret", false, withToken(updateEndsTokens)},
	{"changing the secret of a client that is not there is 404 with an empty body", "measured: PUT secret missing; uaa.AddSecret", false, changesMissing},
	{"a token lives on when a secret is added", "measured: token before ADD; the soak", false, withToken(addKeepsTokens)},
	{"a token of the overlap lives on when the older secret goes", "measured: token in overlap; the soak", false, withTwoSecrets(dropKeepsTokens)},
	{"revoking is answered with 200, and ends the tokens so far", "measured: revoke/client; rotate --now", false, withToken(revokes)},
	{"after revoking, the same secret gets a token that is good", "measured: revoke/client; rotate --now", false, withClient(revokedGoesOn)},
	{"revoking for a client that is not there is 404, empty or UAA's words for it", "measured: revoke/client; uaa.RevokeTokens", false, revokesMissing},

	{"a list shows the page that was asked for, and how many there are", "measured: list; uaa.List", false, lists},
	{"a list shows each client with its lists and its life", "measured: list; uaa.List", false, withClient(listsWhole)},
	{"a page behind the end is empty", "measured: list, beyond end; uaa.List", false, withClient(listsBeyond)},
	{"itemsPerPage is how many clients are on the page", "measured: list; uaa.readPage", false, itemsPerPage},
	{"the filter of a list minds upper and lower case", "measured: filter match; uaa.readPage", false, withClient(filterMindsCase)},

	{"the discovery document names issuer, token endpoint and keys", "measured: discovery; uaa.Endpoints", false, discovers},
	{"the key of a token is among those that the discovery document leads to", "measured: /token_keys; README: verifying a token", false, withToken(showsKeys)},
}
