package uaa

import "net/http"

func isDiscovery(path string) bool {
	return path == "/.well-known/openid-configuration" || path == "/oauth/token/.well-known/openid-configuration"
}

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	sendJSON(w, http.StatusOK, map[string]any{
		"issuer":                                s.Issuer(),
		"authorization_endpoint":                s.issuer + "/oauth/authorize",
		"token_endpoint":                        s.issuer + "/oauth/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256", "HS256"},
		"userinfo_endpoint":                        s.issuer + "/userinfo",
		"jwks_uri":                                 s.issuer + "/token_keys",
		"scopes_supported":                         []string{"openid", "profile", "email", "phone", "roles", "user_attributes"},
		"response_types_supported":                 []string{"code", "code id_token", "id_token", "token id_token"},
		"subject_types_supported":                  []string{"public"},
		"id_token_signing_alg_values_supported":    []string{"RS256", "HS256"},
		"id_token_encryption_alg_values_supported": []string{"none"},
		"claim_types_supported":                    []string{"normal"},
		"claims_supported": []string{
			"sub", "user_name", "origin", "iss", "auth_time", "amr", "acr", "client_id", "aud", "zid", "grant_type",
			"user_id", "azp", "scope", "exp", "iat", "jti", "rev_sig", "cid", "given_name", "family_name",
			"phone_number", "email",
		},
		"claims_parameter_supported": false,
		"service_documentation":      "http://docs.cloudfoundry.org/api/uaa/",
		"ui_locales_supported":       []string{"en-US"},
	})
}
