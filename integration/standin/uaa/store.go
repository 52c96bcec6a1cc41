package uaa

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
)

// defaultValidity is the zone's token policy, for clients that set none.
const defaultValidity = 43200

// record is a client as the database has it. It is never changed once it is in the
// store, only replaced, so readers need no lock after they have got it.
type record struct {
	ID           string                     `json:"client_id"`
	Hashes       []string                   `json:"hashes"` // the older first; UAA keeps two at most
	Scope        []string                   `json:"scope"`
	Authorities  []string                   `json:"authorities"`
	GrantTypes   []string                   `json:"authorized_grant_types"`
	RedirectURI  []string                   `json:"redirect_uri,omitempty"`
	AutoApprove  []string                   `json:"autoapprove,omitempty"`
	Validity     *int                       `json:"access_token_validity,omitempty"`
	Refresh      *int                       `json:"refresh_token_validity,omitempty"`
	Additional   map[string]json.RawMessage `json:"additional_information,omitempty"`
	LastModified int64                      `json:"last_modified"`
}

// tokenSeconds is the life of an access token; 0 and less are taken as they are.
func (c *record) tokenSeconds() int {
	if c.Validity == nil {
		return defaultValidity
	}
	return *c.Validity
}

// answer is the client as the API shows it: all but its secret, lists in an order
// that is not the sender's, additional information among the other keys.
func (c *record) answer() map[string]any {
	answer := map[string]any{"required_user_groups": []string{}}
	for key, value := range c.Additional {
		answer[key] = value
	}
	answer["client_id"] = c.ID
	answer["scope"] = unordered(c.Scope)
	answer["authorities"] = unordered(c.Authorities)
	answer["authorized_grant_types"] = unordered(c.GrantTypes)
	answer["resource_ids"] = []string{"none"}
	answer["autoapprove"] = unordered(c.AutoApprove)
	answer["lastModified"] = c.LastModified
	if len(c.RedirectURI) > 0 {
		answer["redirect_uri"] = unordered(c.RedirectURI)
	}
	if c.Validity != nil {
		answer["access_token_validity"] = *c.Validity
	}
	if c.Refresh != nil {
		answer["refresh_token_validity"] = *c.Refresh
	}
	return answer
}

// unordered gives the values in the order of a hash, as Java's sets do: always the
// same, and hardly ever the one in which they were sent.
func unordered(values []string) []string {
	ordered := slices.Clone(values)
	slices.SortFunc(ordered, func(a, b string) int {
		return cmp.Or(cmp.Compare(hashOf(a), hashOf(b)), strings.Compare(a, b))
	})
	if ordered == nil {
		return []string{}
	}
	return ordered
}

func hashOf(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

// split takes values apart at commas, as UAA does when it reads a list back from
// its column: one value "a,b" comes back as two.
func split(values []string) []string {
	var parts []string
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			part = strings.TrimSpace(part)
			if part != "" && !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	return parts
}

type store struct {
	mu      sync.RWMutex
	clients map[string]*record
	creates map[string]int
	updates map[string]int
	// secrets counts the changes of each client's secrets by their mode, revokes
	// the revocations of its tokens.
	secrets map[string]map[string]int
	revokes map[string]int
}

func newStore() *store {
	return &store{
		clients: map[string]*record{}, creates: map[string]int{}, updates: map[string]int{},
		secrets: map[string]map[string]int{}, revokes: map[string]int{},
	}
}

func (s *store) get(id string) (*record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()

	client, found := s.clients[id]
	return client, found
}

func (s *store) has(id string) bool {
	_, found := s.get(id)
	return found
}

// create adds a client over the API; false if the id is taken.
func (s *store) create(client *record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if _, taken := s.clients[client.ID]; taken {
		return false
	}
	s.clients[client.ID] = client
	s.creates[client.ID]++
	return true
}

func (s *store) put(client *record) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.clients[client.ID] = client
}

// change replaces a client by an altered copy.
func (s *store) change(id string, alter func(*record)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	client, found := s.clients[id]
	if !found {
		return false
	}
	altered := *client
	alter(&altered)
	s.clients[id] = &altered
	return true
}

// update replaces a client over the API by what make gives of it; of nil, if there
// is none. Nothing is replaced, nor counted, if that is nil.
func (s *store) update(id string, make func(*record) (*record, *failure)) (*record, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()

	made, fail := make(s.clients[id])
	if made != nil {
		s.clients[id] = made
		s.updates[id]++
	}
	return made, fail
}

// setSecrets replaces a client's secrets over the API, and nothing else of it, its
// time of change included; false if there is none.
func (s *store) setSecrets(id string, hashes []string, mode string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	client, found := s.clients[id]
	if !found {
		return false
	}
	changed := *client
	changed.Hashes = hashes
	s.clients[id] = &changed
	if s.secrets[id] == nil {
		s.secrets[id] = map[string]int{}
	}
	s.secrets[id][mode]++
	return true
}

// revoke salts the signatures of a client's tokens.
func (s *store) revoke(id, salt string, now int64) (found, fits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	client, found := s.clients[id]
	if !found {
		return false, false
	}
	salted, fits := client.salted(salt, now)
	if fits {
		s.clients[id] = salted
		s.revokes[id]++
	}
	return true, fits
}

func (s *store) remove(id string) (*record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	client, found := s.clients[id]
	delete(s.clients, id)
	return client, found
}

func (s *store) ids() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()

	return slices.Sorted(maps.Keys(s.clients))
}

// all gives the clients in no order.
func (s *store) all() []*record {
	s.mu.RLock()
	defer s.mu.RUnlock()

	return slices.Collect(maps.Values(s.clients))
}

// secretChanges gives how often each client's secrets were changed, by mode.
func (s *store) secretChanges() map[string]map[string]int {
	s.mu.RLock()
	defer s.mu.RUnlock()

	changes := make(map[string]map[string]int, len(s.secrets))
	for id, modes := range s.secrets {
		changes[id] = maps.Clone(modes)
	}
	return changes
}

// revocations gives how often each client's tokens were revoked.
func (s *store) revocations() map[string]int {
	s.mu.RLock()
	defer s.mu.RUnlock()

	return maps.Clone(s.revokes)
}

// counts gives how often each id was created and updated.
func (s *store) counts() (creates, updates map[string]int) {
	s.mu.RLock()
	defer s.mu.RUnlock()

	return maps.Clone(s.creates), maps.Clone(s.updates)
}
