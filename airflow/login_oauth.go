package airflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const callIssue = "POST token_url"

// ClientCredentials is a client of an OAuth 2 server whose tokens Airflow, or what
// stands in front of it, accepts.
type ClientCredentials struct {
	TokenURL     string
	ClientID     string
	ClientSecret remote.Credential
	Scope        string // separated by blanks; may be empty
}

func (l ClientCredentials) check() error {
	if err := needed("token_url", l.TokenURL, "client_id", l.ClientID, "client_secret", given(l.ClientSecret)); err != nil {
		return err
	}
	if _, err := remote.Base(l.TokenURL); err != nil {
		return fmt.Errorf("auth: token_url: %w", err)
	}
	return nil
}

func (ClientCredentials) only() API { return Auto }

// begin opens a way of its own to the server: it is another system, with another
// breaker. It follows no redirect.
func (l ClientCredentials) begin(config Config, c *Client) (func(context.Context) (remote.Token, error), error) {
	var err error
	c.issuer, err = config.system("airflow's token_url", func(a remote.Answer) bool {
		var body map[string]any
		return issuersRefusal(a).Own || a.Status == http.StatusOK && !a.FromRouter() && a.JSON(&body) == nil
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (remote.Token, error) { return l.issue(ctx, c.issuer) }, nil
}

func (l ClientCredentials) issue(ctx context.Context, issuer *remote.System) (remote.Token, error) {
	secret, err := l.ClientSecret()
	if err != nil {
		return remote.Token{}, fmt.Errorf("the secret of client %s: %w", l.ClientID, err)
	}
	credentials := clientcredentials.Config{
		ClientID:     l.ClientID,
		ClientSecret: secret.Reveal(),
		TokenURL:     l.TokenURL,
		Scopes:       strings.Fields(l.Scope),
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	asked := issuer.Clock()
	token, err := credentials.Token(context.WithValue(ctx, oauth2.HTTPClient, issuer.HTTPClient(callIssue, secret)))
	if err != nil {
		return remote.Token{}, issueFailed(issuer, err, secret)
	}
	bearer := identity.SecretFrom(token.AccessToken)
	if err := carriable(bearer); err != nil {
		return remote.Token{}, err
	}
	// The library counts by the system's clock; what we keep is by ours.
	life := lifeOf(token.AccessToken, asked)
	if !token.Expiry.IsZero() {
		life = max(0, time.Until(token.Expiry))
	}
	return lasting(bearer, asked, life), nil
}

// issueFailed keeps of the library's errors what is safe: their texts hold the
// answer's body.
func issueFailed(issuer *remote.System, err error, secret identity.Secret) error {
	var failed *remote.Error
	if errors.As(err, &failed) {
		return failed
	}
	request := remote.Request{Call: callIssue, Secrets: []identity.Secret{secret}}
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) && answered.Response != nil {
		return issuersRefusal(issuer.Answered(request, answered.Response.StatusCode, answered.Response.Header, answered.Body))
	}
	return issuer.Answered(request, http.StatusOK, nil, nil).Unreadable(errors.New("the body holds no access token"))
}

// issuersRefusal reads OAuth's error, RFC 6749 section 5.2.
func issuersRefusal(a remote.Answer) *remote.Error {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if a.FromRouter() || a.Status < 400 || a.Status >= 500 || a.JSON(&body) != nil || body.Error == "" {
		return a.Refused(a.NeverCarriedOut(), "", "")
	}
	return a.Refused(true, body.Error, body.Description)
}
