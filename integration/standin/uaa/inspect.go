package uaa

import (
	"encoding/json"
	"slices"
)

// ClientState is a client as it is kept.
type ClientState struct {
	ID                    string
	Authorities           []string // sorted
	Scope                 []string // sorted
	GrantTypes            []string // sorted
	AccessTokenValidity   int      // seconds, the zone's 43200 if the client sets none
	AdditionalInformation map[string]any
	Secrets               int // how many: one or two
	Created               int // how often this id was created over the API
	Updated               int // how often it was updated over the API
}

// ClientIDs gives the ids of all clients, sorted.
func (s *Server) ClientIDs() []string { return s.store.ids() }

// Creates tells how often each id was created over the API in the server's life.
func (s *Server) Creates() map[string]int {
	creates, _ := s.store.counts()
	return creates
}

// Updates tells how often each id was updated over the API, whether or not that
// changed anything. Refused updates do not count.
func (s *Server) Updates() map[string]int {
	_, updates := s.store.counts()
	return updates
}

// SecretChanges tells how often each id's secrets were changed over the API, by mode:
// ModeAdd, ModeDelete, ModeUpdate. Refused changes do not count; one that was lost
// to another at the same time does.
func (s *Server) SecretChanges() map[string]map[string]int { return s.store.secretChanges() }

// Revocations tells how often each id's tokens were revoked over the API.
func (s *Server) Revocations() map[string]int { return s.store.revocations() }

// Accepts tells whether a client would get a token with a secret. It counts no hash,
// and remembers no match.
func (s *Server) Accepts(id, secret string) bool {
	client, found := s.store.get(id)
	return found && slices.ContainsFunc(client.Hashes, func(hash string) bool {
		return sameSecret(hash, secret)
	})
}

// Client looks at a client.
func (s *Server) Client(id string) (ClientState, bool) {
	client, found := s.store.get(id)
	if !found {
		return ClientState{}, false
	}
	additional := make(map[string]any, len(client.Additional))
	for key, raw := range client.Additional {
		var value any
		_ = json.Unmarshal(raw, &value) // it was parsed on its way in
		additional[key] = value
	}
	creates, updates := s.store.counts()
	return ClientState{
		ID:                    client.ID,
		Authorities:           sorted(client.Authorities),
		Scope:                 sorted(client.Scope),
		GrantTypes:            sorted(client.GrantTypes),
		AccessTokenValidity:   client.tokenSeconds(),
		AdditionalInformation: additional,
		Secrets:               len(client.Hashes),
		Created:               creates[id],
		Updated:               updates[id],
	}, true
}

func sorted(values []string) []string { return slices.Sorted(slices.Values(values)) }

// AddClient makes or replaces a client as an operator would, past all rules.
func (s *Server) AddClient(client Client) error {
	hash, err := s.hasher.uncounted(client.Secret)
	if err != nil {
		return err
	}
	made := &record{
		ID:           client.ID,
		Hashes:       []string{hash},
		Authorities:  orElse(split(client.Authorities), "uaa.none"),
		Scope:        orElse(split(client.Scope), "uaa.none"),
		GrantTypes:   orElse(split(client.GrantTypes), clientCredentials),
		LastModified: s.now().UnixMilli(),
	}
	if client.AccessTokenValidity != 0 {
		made.Validity = &client.AccessTokenValidity
	}
	s.store.put(made)
	return nil
}

// RemoveClient takes a client away behind everybody's back; false if there is none.
func (s *Server) RemoveClient(id string) bool {
	_, found := s.store.remove(id)
	return found
}

// SetAuthorities replaces what a client may do, as an operator's PUT would.
func (s *Server) SetAuthorities(id string, authorities ...string) bool {
	return s.store.change(id, func(client *record) {
		client.Authorities = orElse(split(authorities), "uaa.none")
		client.LastModified = s.now().UnixMilli()
	})
}

// SetSecrets replaces a client's secrets, the older first. As with UAA, tokens that
// were granted under a hash that is gone are refused from now on.
func (s *Server) SetSecrets(id string, secrets ...string) (bool, error) {
	hashes := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		hash, err := s.hasher.uncounted(secret)
		if err != nil {
			return false, err
		}
		hashes = append(hashes, hash)
	}
	return s.store.change(id, func(client *record) { client.Hashes = hashes }), nil
}

func orElse(values []string, fallback string) []string {
	if len(values) == 0 {
		return []string{fallback}
	}
	return values
}
