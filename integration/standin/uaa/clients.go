package uaa

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxAdditional is the width of UAA's column for all additional information.
const maxAdditional = 4096

// maxID is the width of the column for ids.
const maxID = 255

func (s *Server) createClient(w http.ResponseWriter, r *http.Request, restricted bool) {
	made, fail := s.created(r, restricted)
	if fail != nil {
		fail.send(w, r)
		return
	}
	sendJSON(w, http.StatusCreated, made.answer())
}

func (s *Server) created(r *http.Request, restricted bool) (*record, *failure) {
	caller, fail := s.authorize(r, "uaa.admin", "clients.write", "clients.admin", "zones.uaa.admin")
	if fail != nil {
		return nil, fail
	}
	sent, fail := s.readClient(r)
	if fail != nil {
		return nil, fail
	}
	if restricted {
		if fail := sent.checkRestricted(); fail != nil {
			return nil, fail
		}
	}
	if fail := sent.check(caller, s.scopesOf(caller)); fail != nil {
		return nil, fail
	}
	if fail := sent.checkSecret(); fail != nil {
		return nil, fail
	}
	client, fail := sent.record()
	if fail != nil {
		return nil, fail
	}

	// UAA hashes on the way to the INSERT, so a taken id costs a hash as well.
	hash, err := s.hasher.hash(sent.Secret)
	if err != nil {
		return nil, page(http.StatusInternalServerError)
	}
	client.Hashes = []string{hash}
	client.LastModified = s.now().UnixMilli()
	if !s.store.create(client) {
		return nil, invalidClient(http.StatusConflict, "Client already exists: %s", client.ID)
	}
	return client, nil
}

func (s *Server) updateClient(w http.ResponseWriter, r *http.Request, id string, restricted bool) {
	updated, fail := s.updated(r, id, restricted)
	switch {
	case fail != nil:
		fail.send(w, r)
	case updated == nil:
		sendEmpty(w, http.StatusNotFound)
	default:
		sendJSON(w, http.StatusOK, updated.answer())
	}
}

// updated gives no client if there is none. Whether there is one is the last thing
// that UAA finds out: a body that would not do for a client is refused before.
func (s *Server) updated(r *http.Request, id string, restricted bool) (*record, *failure) {
	caller, fail := s.authorize(r, "uaa.admin", "clients.write", "clients.admin", "zones.uaa.admin")
	if fail != nil {
		return nil, fail
	}
	sent, fail := s.readClient(r)
	if fail != nil {
		return nil, fail
	}
	if restricted {
		if fail := sent.checkRestricted(); fail != nil { // what is kept is not looked at
			return nil, fail
		}
	}
	if sent.ID == nil || *sent.ID != id {
		return nil, page(http.StatusInternalServerError)
	}
	scopes := s.scopesOf(caller)
	return s.store.update(id, func(old *record) (*record, *failure) {
		merged := sent
		if old != nil && !sent.additionalNull() {
			merged = sent.mergedWith(old)
		}
		if fail := merged.check(caller, scopes); fail != nil {
			return nil, fail
		}
		client, fail := merged.record()
		if fail != nil || old == nil {
			return nil, fail
		}
		client.Hashes = old.Hashes // a secret in the body is not looked at
		client.LastModified = s.now().UnixMilli()
		return client, nil
	})
}

// additionalNull tells of the null that UAA stumbles over when it merges: it goes
// on with the body alone, and what is not in it is lost.
func (c *sentClient) additionalNull() bool {
	for _, value := range c.Additional {
		if string(value) == "null" {
			return true
		}
	}
	return false
}

// mergedWith is what UAA makes of a PUT: what is left out stays, an empty list is
// one that is left out (but for autoapprove), and a key that was there cannot be
// taken away.
func (c *sentClient) mergedWith(old *record) *sentClient {
	merged := *c
	merged.Scope = kept(c.Scope, old.Scope)
	merged.Authorities = kept(c.Authorities, old.Authorities)
	merged.GrantTypes = kept(c.GrantTypes, old.GrantTypes)
	merged.RedirectURI = kept(c.RedirectURI, old.RedirectURI)
	if c.AutoApprove == nil {
		merged.AutoApprove = old.AutoApprove
	}
	if c.Validity == nil {
		merged.Validity = old.Validity
	}
	if c.Refresh == nil {
		merged.Refresh = old.Refresh
	}
	merged.Additional = maps.Clone(old.Additional)
	if merged.Additional == nil {
		merged.Additional = map[string]json.RawMessage{}
	}
	maps.Copy(merged.Additional, c.Additional)
	return &merged
}

func kept(sent, old []string) []string {
	if len(sent) == 0 {
		return old
	}
	return sent
}

func (s *Server) scopesOf(c caller) []string {
	client, found := s.store.get(c.id)
	if !found {
		return nil
	}
	return client.Scope
}

func (s *Server) getClient(w http.ResponseWriter, r *http.Request, id string) {
	if _, fail := s.authorize(r, "uaa.admin", "clients.read", "clients.admin", "zones.uaa.admin"); fail != nil {
		fail.send(w, r)
		return
	}
	client, found := s.store.get(id)
	if !found {
		sendEmpty(w, http.StatusNotFound)
		return
	}
	sendJSON(w, http.StatusOK, client.answer())
}

// deleteClient takes any client away, whoever made it.
func (s *Server) deleteClient(w http.ResponseWriter, r *http.Request, id string) {
	if _, fail := s.authorize(r, "uaa.admin", "clients.write", "clients.admin", "zones.uaa.admin"); fail != nil {
		fail.send(w, r)
		return
	}
	client, found := s.store.remove(id)
	if !found {
		sendEmpty(w, http.StatusNotFound)
		return
	}
	sendJSON(w, http.StatusOK, client.answer())
}

// sentClient is a client as a request has it. Whatever is not a field of it is
// additional information: UAA stores any key, and tells it again.
type sentClient struct {
	ID          *string
	Secret      string
	Scope       []string
	Authorities []string
	GrantTypes  []string
	RedirectURI []string
	AutoApprove []string
	Validity    *int
	Refresh     *int
	Additional  map[string]json.RawMessage
}

func (s *Server) readClient(r *http.Request) (*sentClient, *failure) {
	keys, fail := readObject(r)
	if fail != nil {
		return nil, fail
	}
	sent := &sentClient{Additional: map[string]json.RawMessage{}}
	for key, value := range keys {
		if err := sent.set(key, value); err != nil {
			return nil, page(http.StatusBadRequest)
		}
	}
	if s.forgets {
		maps.DeleteFunc(sent.Additional, func(key string, _ json.RawMessage) bool { return key != "name" })
	}
	return sent, nil
}

func readObject(r *http.Request) (map[string]json.RawMessage, *failure) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json")) {
		return nil, page(http.StatusUnsupportedMediaType)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, page(http.StatusBadRequest)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil || keys == nil {
		return nil, page(http.StatusBadRequest)
	}
	return keys, nil
}

func (c *sentClient) set(key string, value json.RawMessage) error {
	switch key {
	case "client_id":
		return json.Unmarshal(value, &c.ID)
	case "client_secret":
		return json.Unmarshal(value, &c.Secret)
	case "access_token_validity":
		return json.Unmarshal(value, &c.Validity)
	case "refresh_token_validity":
		return json.Unmarshal(value, &c.Refresh)
	case "scope":
		return readList(value, &c.Scope)
	case "authorities":
		return readNeeded(value, &c.Authorities)
	case "authorized_grant_types":
		return readNeeded(value, &c.GrantTypes)
	case "redirect_uri":
		return readList(value, &c.RedirectURI)
	case "autoapprove":
		return readAutoApprove(value, &c.AutoApprove)
	case "resource_ids", "lastModified":
		return nil // always UAA's own
	default:
		c.Additional[key] = value
		return nil
	}
}

// readList takes an array, or a string with commas.
func readList(value json.RawMessage, list *[]string) error {
	var text string
	if json.Unmarshal(value, &text) == nil {
		if text != "" {
			*list = split([]string{text})
		}
		return nil
	}
	return json.Unmarshal(value, list)
}

// readNeeded reads the lists that UAA cannot take for null, unlike scope.
func readNeeded(value json.RawMessage, list *[]string) error {
	if string(value) == "null" {
		return errors.New("the list is null")
	}
	return readList(value, list)
}

// readAutoApprove gives a list that is not nil: here, an empty one is a wish.
func readAutoApprove(value json.RawMessage, list *[]string) error {
	*list = []string{}
	var all bool
	if json.Unmarshal(value, &all) == nil {
		if all {
			*list = []string{"true"}
		}
		return nil
	}
	return readList(value, list)
}

// record is what the database makes of a client that has passed the rules: lists
// are joined by commas and split again, and what does not fit its column is an
// error that UAA has no answer for.
func (c *sentClient) record() (*record, *failure) {
	if c.ID == nil || utf8.RuneCountInString(*c.ID) > maxID {
		return nil, page(http.StatusInternalServerError)
	}
	additional, err := json.Marshal(c.Additional)
	if err != nil || len(additional) > maxAdditional {
		return nil, page(http.StatusInternalServerError)
	}
	return &record{
		ID:          *c.ID,
		Scope:       orElse(split(c.Scope), "uaa.none"),
		Authorities: orElse(split(c.Authorities), "uaa.none"),
		GrantTypes:  split(c.GrantTypes),
		RedirectURI: split(c.RedirectURI),
		AutoApprove: split(c.AutoApprove),
		Validity:    c.Validity,
		Refresh:     c.Refresh,
		Additional:  c.Additional,
	}, nil
}
