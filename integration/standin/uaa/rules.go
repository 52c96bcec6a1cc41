package uaa

import (
	"net/http"
	"slices"
	"strings"
)

// maxSecret is the default policy's; it counts characters, unlike bcrypt.
const maxSecret = 255

// supportedGrants is what a client may be made for.
var supportedGrants = []string{
	"implicit", "refresh_token", "urn:ietf:params:oauth:grant-type:saml2-bearer", "password", "client_credentials",
	"authorization_code", "user_token", "urn:ietf:params:oauth:grant-type:jwt-bearer",
}

// internalScopes is what /oauth/clients/restricted refuses, even to an admin.
// Cloud Controller's and CredHub's authorities and tokens.* are not in it.
var internalScopes = []string{
	"zones.read", "zones.write", "zones.*.admin", "zones.*.read", "zones.*.clients.admin", "zones.*.clients.read",
	"zones.*.clients.write", "zones.*.scim.read", "zones.*.scim.create", "zones.*.scim.write", "zones.*.idps.read",
	"zones.*.idps.write", "idps.read", "idps.write", "clients.admin", "clients.write", "clients.read",
	"clients.secret", "scim.write", "scim.read", "scim.create", "scim.userids", "scim.zones", "scim.invite",
	"groups.update", "password.write", "oauth.login", "uaa.admin",
}

// checkRestricted looks at each value as it was sent: one that holds a comma passes
// here and is two values once it is stored.
func (c *sentClient) checkRestricted() *failure {
	for _, scope := range c.Scope {
		if matchesWildcards(internalScopes, scope) {
			return invalidClient(http.StatusBadRequest, "%s is a restricted scope.", scope)
		}
	}
	for _, authority := range c.Authorities {
		if matchesWildcards(internalScopes, authority) {
			return invalidClient(http.StatusBadRequest, "%s is a restricted authority.", authority)
		}
	}
	return nil
}

func (c *sentClient) check(caller caller, callerScopes []string) *failure {
	id := ""
	if c.ID != nil {
		id = *c.ID
	}
	if id == "uaa" {
		return invalidClient(http.StatusBadRequest, "Not allowed: %s is a reserved client_id", id)
	}
	if fail := c.checkGrants(); fail != nil {
		return fail
	}
	if !caller.admin() {
		if fail := c.checkWriter(caller.id, id, callerScopes); fail != nil {
			return fail
		}
	}
	return nil
}

func (c *sentClient) checkGrants() *failure {
	allowed := "[" + strings.Join(supportedGrants, ", ") + "]"
	if len(c.GrantTypes) == 0 {
		return invalidClient(http.StatusBadRequest,
			"An authorized grant type must be provided. Must be one of: %s", allowed)
	}
	for _, grant := range c.GrantTypes {
		if !slices.Contains(supportedGrants, grant) {
			return invalidClient(http.StatusBadRequest,
				"%s is not an allowed grant type. Must be one of: %s", grant, allowed)
		}
	}
	return nil
}

// checkWriter keeps a caller with clients.write alone from making anything useful:
// not even its own authorities can be handed on.
func (c *sentClient) checkWriter(callerID, id string, callerScopes []string) *failure {
	for _, scope := range c.Scope {
		if strings.HasPrefix(scope, callerID+".") || strings.HasPrefix(scope, id+".") ||
			slices.Contains(callerScopes, scope) {
			continue
		}
		return invalidClient(http.StatusBadRequest,
			"%s is not an allowed scope for caller=%s. Must have prefix in [%s.,%s.] or be one of: [%s]",
			scope, callerID, callerID, id, strings.Join(callerScopes, ", "))
	}
	allowed := []string{"uaa.none"}
	if slices.Contains(c.GrantTypes, clientCredentials) {
		allowed = []string{"uaa.resource", "uaa.none"}
	}
	for _, authority := range c.Authorities {
		if !slices.Contains(allowed, authority) {
			return invalidClient(http.StatusBadRequest,
				"%s is not an allowed authority for caller=%s. Must be one of: [%s]",
				authority, callerID, strings.Join(allowed, ", "))
		}
	}
	return nil
}

func (c *sentClient) checkSecret() *failure {
	if c.Secret == "" && (slices.Contains(c.GrantTypes, clientCredentials) ||
		slices.Contains(c.GrantTypes, "authorization_code")) {
		return invalidClient(http.StatusBadRequest,
			"Client secret is required for client_credentials and authorization_code grant types")
	}
	return checkSecretLength(c.Secret)
}
