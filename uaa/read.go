package uaa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const callRead = "GET /oauth/clients/{id}"

// Read compares a client with how it should be. See identity.Clients.
//
// UAA never shows a secret, nor how many there are: that takes a probe. Keys beside
// our labels are others' business, and a UAA that shows none of ours keeps none.
func (c *Client) Read(ctx context.Context, client identity.Client) (identity.Outcome, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	id := client.ID

	answer, err := c.session.Do(ctx, remote.Request{
		Call: callRead, Method: http.MethodGet, URL: c.clientURL(id), Header: c.header(),
	})
	if err != nil {
		return remote.OutcomeOf(err), fmt.Errorf("reading client %s: %w", id, err)
	}
	if answer.Status != http.StatusOK {
		return notThereOr(answer, "reading", id)
	}
	got, err := read(answer, id)
	if err != nil {
		return identity.Unknown, fmt.Errorf("reading client %s: %w", id, answer.Unreadable(err))
	}
	asked := asStored(client, identity.Secret{})
	kept := labels(answer.Body)
	if client.Forgotten(identity.Client{Labels: kept}) {
		client.Labels = nil
		if got.Name == "" { // it is additional information as well
			got.Name = asked.Name
		}
	}
	err = errors.Join(asked.compare(got), asked.compareRest(got), compareLabels(client.Labels, kept))
	if err != nil {
		return identity.Differs, fmt.Errorf("reading client %s: %w", id, err)
	}
	return identity.Done, nil
}

// compareRest tells what became of what is no list. Nothing that it says of UAA's
// side is a secret: UAA shows it to whoever may read clients.
func (s stored) compareRest(got stored) error {
	var differences []error
	if s.Name != got.Name {
		differences = append(differences, fmt.Errorf("its name should be %q, and is %q", s.Name, got.Name))
	}
	if s.TokenValidity != got.TokenValidity {
		differences = append(differences, fmt.Errorf("its tokens should live %s, and live %s",
			time.Duration(s.TokenValidity)*time.Second, life(got.TokenValidity)))
	}
	return errors.Join(differences...)
}

// life is that of a client's tokens, in words.
func life(seconds int) string {
	if seconds == 0 {
		return "as long as uaa's own settings say, or not at all"
	}
	return (time.Duration(seconds) * time.Second).String()
}

func compareLabels(asked, got map[string]string) error {
	var differences []error
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		switch value, found := got[key]; {
		case !found:
			differences = append(differences, fmt.Errorf("it has no %s, which should be %q", key, asked[key]))
		case value != asked[key]:
			differences = append(differences, fmt.Errorf("its %s should be %q, and is %q", key, asked[key], value))
		}
	}
	return errors.Join(differences...)
}

// labels are the additional keys of a client: texts under names that are not UAA's.
func labels(client []byte) map[string]string {
	var keys map[string]json.RawMessage
	if json.Unmarshal(client, &keys) != nil {
		return nil
	}
	found := map[string]string{}
	for key, raw := range keys {
		if value, ok := text(raw); ok && !slices.Contains(uaaKeys, key) {
			found[key] = value
		}
	}
	return found
}
