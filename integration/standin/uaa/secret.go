package uaa

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a change of a secret does, as requests spell it and SecretChanges counts it.
const (
	ModeAdd    = "ADD"
	ModeDelete = "DELETE"
	ModeUpdate = "UPDATE"
)

// ChangesSecret is for standin.Fault.Match: it picks the changes of one mode, which
// neither method nor path tells. The client's id is part of the fault's Call.
func ChangesSecret(mode string) func(*http.Request, []byte) bool {
	return func(r *http.Request, body []byte) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/secret") {
			return false
		}
		sent := struct {
			Mode string `json:"changeMode"`
		}{ModeUpdate}
		return json.Unmarshal(body, &sent) == nil && sent.Mode == mode
	}
}

func (s *Server) changeSecret(w http.ResponseWriter, r *http.Request, id string) {
	message, fail := s.secretChanged(r, id)
	switch {
	case fail != nil:
		fail.send(w, r)
	case message == "":
		sendEmpty(w, http.StatusNotFound)
	default:
		sendJSON(w, http.StatusOK, map[string]any{"status": "ok", "message": message})
	}
}

// secretChanged gives no message if there is no such client. UAA reads the secrets,
// hashes, and writes all of them, with no lock in between: of two changes that
// overlap both are answered 200, and one is lost.
func (s *Server) secretChanged(r *http.Request, id string) (message string, fail *failure) {
	caller, fail := s.authorize(r, "uaa.admin", "clients.secret", "clients.admin", "zones.uaa.admin")
	if fail != nil {
		return "", fail
	}
	sent, fail := readSecretChange(r)
	if fail != nil {
		return "", fail
	}
	client, found := s.store.get(id)
	if !found {
		return "", nil
	}
	if fail := s.checkOldSecret(caller, client, sent); fail != nil {
		return "", fail
	}
	hashes, message, fail := s.hashesAfter(client.Hashes, sent)
	if fail != nil {
		return "", fail
	}
	if s.beforeSecretWrite != nil {
		s.beforeSecretWrite(id)
	}
	if !s.store.setSecrets(id, hashes, *sent.Mode) {
		return "", nil
	}
	return message, nil
}

// checkOldSecret lets an admin do what it wants, its own secret included. Others
// change their own only, and have to know it: the token alone does not do.
func (s *Server) checkOldSecret(caller caller, client *record, sent secretChange) *failure {
	if caller.admin() {
		return nil
	}
	if caller.id != client.ID {
		return invalidClient(http.StatusBadRequest, "Bad request. Not permitted to change another client's secret")
	}
	if sent.Old == nil || !s.hasher.matchesAny(*sent.Old, client.Hashes) {
		return invalidClient(http.StatusBadRequest, "Previous secret is required and must be valid")
	}
	return nil
}

// hashesAfter makes of a client's secrets, the older first, what is asked. Whether
// there is room is looked at before the secret is.
func (s *Server) hashesAfter(hashes []string, sent secretChange) (after []string, message string, fail *failure) {
	if sent.Mode == nil {
		return nil, "", page(http.StatusInternalServerError)
	}
	switch *sent.Mode {
	case ModeAdd:
		if len(hashes) != 1 {
			return nil, "", invalidClient(http.StatusBadRequest, "client secret is either empty or client already has two secrets.")
		}
		after, message = slices.Clone(hashes), "Secret is added"
	case ModeDelete:
		if len(hashes) != 2 {
			return nil, "", invalidClient(http.StatusBadRequest, "client secret is either empty or client has only one secret.")
		}
		return hashes[1:2:2], "Secret is deleted", nil // a secret in the body does not choose
	default:
		message = "secret updated"
	}
	if fail := checkNewSecret(sent.Secret); fail != nil {
		return nil, "", fail
	}
	hash, err := s.hasher.hash(*sent.Secret)
	if err != nil {
		return nil, "", page(http.StatusInternalServerError)
	}
	return append(after, hash), message, nil
}

func checkNewSecret(secret *string) *failure {
	switch {
	case secret == nil:
		return invalidClient(http.StatusBadRequest, "Client Secret cannot be null.")
	case *secret == "":
		return invalidClient(http.StatusBadRequest, "Client Secret must be at least 1 characters in length.")
	default:
		return checkSecretLength(*secret)
	}
}

func checkSecretLength(secret string) *failure {
	if utf8.RuneCountInString(secret) > maxSecret {
		return invalidClient(http.StatusBadRequest, "Client Secret must be no more than %d characters in length.", maxSecret)
	}
	return nil
}

// secretChange is a change as it is asked for. The clientId in the body means
// nothing: the path's counts.
type secretChange struct {
	Secret, Old *string
	Mode        *string // nil: it was sent as null, which UAA stumbles over later
}

func readSecretChange(r *http.Request) (secretChange, *failure) {
	keys, fail := readObject(r)
	if fail != nil {
		return secretChange{}, fail
	}
	mode := ModeUpdate
	sent := secretChange{Mode: &mode}
	for key, into := range map[string]**string{"secret": &sent.Secret, "oldSecret": &sent.Old, "changeMode": &sent.Mode} {
		value, found := keys[key]
		if found && json.Unmarshal(value, into) != nil {
			return secretChange{}, page(http.StatusBadRequest)
		}
	}
	if sent.Mode != nil && !slices.Contains([]string{ModeAdd, ModeDelete, ModeUpdate}, *sent.Mode) {
		return secretChange{}, page(http.StatusBadRequest)
	}
	return sent, nil
}
