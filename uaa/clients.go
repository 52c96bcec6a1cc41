package uaa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callCreate = "POST /oauth/clients/restricted"
	callUpdate = "PUT /oauth/clients/restricted/{id}"
	callDelete = "DELETE /oauth/clients/{id}"

	clientsPath    = "/oauth/clients/"
	restrictedPath = "/oauth/clients/restricted"

	// labelsMost stays below the 4,096 bytes that UAA's column holds.
	labelsMost = 3500
)

// none is how UAA spells an empty list. An empty one would come back as this on
// create, and is not understood at all on update.
const none identity.Authority = "uaa.none"

var grantTypes = []string{"client_credentials"}

// stored is a UAA client as its API writes it: in our requests and in its
// answers. What is not a field of it is additional information.
type stored struct {
	ID            identity.ClientID    `json:"client_id"`
	Secret        string               `json:"client_secret,omitempty"`
	Name          clientName           `json:"name,omitempty"`
	Authorities   []identity.Authority `json:"authorities"`
	Scope         []string             `json:"scope"`
	GrantTypes    []string             `json:"authorized_grant_types"`
	TokenValidity int                  `json:"access_token_validity,omitempty"`
}

// clientName is additional information, as a label is: UAA lets it be anything, and
// what is no text is no name.
type clientName string

func (n *clientName) UnmarshalJSON(raw []byte) error {
	name, _ := text(raw)
	*n = clientName(name)
	return nil
}

// uaaKeys are the keys of an answer that are not labels of ours.
var uaaKeys = []string{
	"client_id", "client_secret", "name", "authorities", "scope", "authorized_grant_types",
	"access_token_validity", "refresh_token_validity", "lastModified", "resource_ids", "redirect_uri",
	"autoapprove", "allowedproviders", "required_user_groups", "createdwith", "created_by",
	"token_salt", "approvals_deleted", "allowpublic", "jwks", "jwks_uri", "jwt_creds",
	"client_jwt_config", "secondary_client_secret",
}

// Create makes the client. See identity.Clients.
func (c *Client) Create(ctx context.Context, client identity.Client, secret identity.Secret) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	asked := asStored(client, secret)
	body, err := asked.body(client.Labels)
	if err == nil && secret.IsZero() {
		err = errors.New("a client needs a secret")
	}
	if err != nil {
		return identity.Rejected, fmt.Errorf("creating client %s: not sent: %w", client.ID, err)
	}

	answer, err := c.session.Do(ctx, remote.Request{
		Call: callCreate, Method: http.MethodPost, URL: c.url + restrictedPath,
		Header: c.jsonHeader(), Body: body, Secrets: []identity.Secret{secret},
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("creating client %s: %w", client.ID, err)
	}
	if answer.Status == http.StatusCreated || answer.Status == http.StatusOK {
		return asked.became(answer, "creating")
	}

	refused := refusal(answer)
	outcome := refused.Outcome()
	if refused.Own && refused.Status == http.StatusConflict {
		outcome = identity.Exists
	}
	if refused.Own && refused.Status == http.StatusForbidden {
		return outcome, fmt.Errorf("creating client %s: %w: %w", client.ID, &identity.Refusal{Reason: c.mayNot()}, refused)
	}
	return outcome, fmt.Errorf("creating client %s: %w", client.ID, refused)
}

// Update puts the client as it should be. See identity.Clients.
//
// A PUT merges: UAA keeps what is left out, the secret above all, and takes an
// empty list for one that is left out. A null would undo the merge and lose the
// name, the life of tokens and every label. So everything is sent but the secret,
// as on create, with the same labels: one that was set cannot be taken away.
//
// Tokens that say an authority which is taken away die at UAA's own check.
func (c *Client) Update(ctx context.Context, client identity.Client) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	asked := asStored(client, identity.Secret{})
	body, err := asked.body(client.Labels)
	if err != nil {
		return identity.Rejected, fmt.Errorf("updating client %s: not sent: %w", client.ID, err)
	}

	answer, err := c.put(ctx, client.ID, body)
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("updating client %s: %w", client.ID, err)
	}
	if answer.Status == http.StatusOK {
		return asked.became(answer, "updating")
	}
	return notThereOr(answer, "updating", client.ID)
}

func (c *Client) put(ctx context.Context, id identity.ClientID, body []byte) (remote.Answer, error) {
	return c.session.Do(ctx, remote.Request{
		Call: callUpdate, Method: http.MethodPut, URL: c.url + restrictedPath + "/" + url.PathEscape(string(id)),
		Header: c.jsonHeader(), Body: body,
	})
}

// Delete takes the client away. See identity.Clients.
func (c *Client) Delete(ctx context.Context, id identity.ClientID) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()

	answer, err := c.session.Do(ctx, remote.Request{
		Call: callDelete, Method: http.MethodDelete, URL: c.clientURL(id), Header: c.header(),
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("deleting client %s: %w", id, err)
	}
	if answer.Status == http.StatusOK {
		if _, err := read(answer, id); err != nil {
			return identity.Unknown, fmt.Errorf("deleting client %s: %w", id, answer.Unreadable(err))
		}
		return identity.Done, nil
	}
	return notThereOr(answer, "deleting", id)
}

func (c *Client) clientURL(id identity.ClientID) string {
	return c.url + clientsPath + url.PathEscape(string(id))
}

// notThereOr reads the refusal of a call on one client.
func notThereOr(answer remote.Answer, doing string, id identity.ClientID) (identity.Outcome, error) {
	refused := refusal(answer)
	if refused.Own && refused.Status == http.StatusNotFound {
		return identity.NotThere, nil
	}
	return refused.Outcome(), fmt.Errorf("%s client %s: %w", doing, id, refused)
}

func asStored(client identity.Client, secret identity.Secret) stored {
	s := stored{
		ID:            client.ID,
		Secret:        secret.Reveal(),
		Name:          clientName(client.Name),
		Authorities:   client.Authorities,
		Scope:         []string{string(none)},
		GrantTypes:    grantTypes,
		TokenValidity: int(client.TokenLifetime / time.Second),
	}
	if len(s.Authorities) == 0 {
		s.Authorities = []identity.Authority{none}
	}
	return s
}

// body gives the request, labels as keys beside the fields, unless UAA would
// take it for something else than is meant.
func (s stored) body(labels map[string]string) ([]byte, error) {
	if s.TokenValidity < 1 {
		// UAA accepts 0 and less, and every token is expired from the start.
		return nil, errors.New("the life of its tokens must be at least a second")
	}
	for _, authority := range s.Authorities {
		if authority == "" || strings.ContainsAny(string(authority), ", \t\r\n") {
			return nil, fmt.Errorf("UAA would split the authority %q", authority)
		}
	}
	information, err := json.Marshal(labels)
	if err != nil {
		return nil, err
	}
	if size := len(information) + len(s.Name); size > labelsMost {
		return nil, fmt.Errorf("its name and labels take %d bytes, more than %d", size, labelsMost)
	}

	fields, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(fields, &body); err != nil {
		return nil, err
	}
	for key, value := range labels {
		if slices.Contains(uaaKeys, key) {
			return nil, fmt.Errorf("a label cannot be called %q: the word is UAA's", key)
		}
		body[key] = value
	}
	return json.Marshal(body)
}

// became reads the client that a 2xx holds and compares it with what was asked.
func (s stored) became(answer remote.Answer, doing string) (identity.Outcome, error) {
	got, err := read(answer, s.ID)
	if err != nil {
		return identity.Unknown, fmt.Errorf("%s client %s: %w", doing, s.ID, answer.Unreadable(err))
	}
	if err := s.compare(got); err != nil {
		return identity.Differs, fmt.Errorf("%s client %s: %w", doing, s.ID, err)
	}
	return identity.Done, nil
}

// compare tells what UAA made of the lists that it was asked for. Their order
// means nothing and is not kept.
func (s stored) compare(got stored) error {
	var differences []error
	differs := func(what string, asked, answered []string) {
		if !slices.Equal(sorted(asked), sorted(answered)) {
			differences = append(differences, fmt.Errorf("asked for the %s %q, uaa granted %q", what, asked, answered))
		}
	}
	differs("authorities", texts(s.Authorities), texts(got.Authorities))
	differs("scopes", s.Scope, got.Scope)
	differs("grant types", s.GrantTypes, got.GrantTypes)
	return errors.Join(differences...)
}

// sorted gives a list as a set.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func texts(authorities []identity.Authority) []string {
	list := make([]string, len(authorities))
	for i, authority := range authorities {
		list[i] = string(authority)
	}
	return list
}

// read takes a 2xx for UAA's own only if it holds the client it is about: login
// pages and proxies answer with 200 too.
func read(answer remote.Answer, id identity.ClientID) (stored, error) {
	var got stored
	if err := answer.JSON(&got); err != nil {
		return stored{}, err
	}
	if got.ID != id {
		return stored{}, errors.New("the body is not that client")
	}
	return got, nil
}
