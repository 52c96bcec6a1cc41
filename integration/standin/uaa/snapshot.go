package uaa

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// snapshot is all that a restart must not lose: with another key, or other hashes,
// every token granted before would be refused.
type snapshot struct {
	Key     []byte         `json:"key"` // PKCS #8
	Clients []*record      `json:"clients"`
	Creates map[string]int `json:"creates"`
	Updates map[string]int `json:"updates,omitempty"`

	SecretChanges map[string]map[string]int `json:"secret_changes,omitempty"`
	Revocations   map[string]int            `json:"revocations,omitempty"`
}

// Snapshot gives the whole state as JSON, for Config.Snapshot of a later server. It
// holds the private key and the hashes of the secrets, and no secret.
func (s *Server) Snapshot() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(s.key.private)
	if err != nil {
		return nil, fmt.Errorf("encoding the signing key: %w", err)
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()

	state := snapshot{
		Key: key, Creates: s.store.creates, Updates: s.store.updates,
		SecretChanges: s.store.secrets, Revocations: s.store.revokes,
	}
	for _, id := range slices.Sorted(maps.Keys(s.store.clients)) {
		state.Clients = append(state.Clients, s.store.clients[id])
	}
	text, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("encoding the state of the stand-in uaa: %w", err)
	}
	return text, nil
}

func (s *Server) restore(text []byte) (err error) {
	if len(text) == 0 {
		s.key, err = newSigningKey()
		return err
	}
	var state snapshot
	if err := json.Unmarshal(text, &state); err != nil {
		return fmt.Errorf("reading the state of the stand-in uaa: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(state.Key)
	if err != nil {
		return fmt.Errorf("reading the signing key of the stand-in uaa: %w", err)
	}
	private, isRSA := parsed.(*rsa.PrivateKey)
	if !isRSA {
		return errors.New("reading the signing key of the stand-in uaa: it is not an rsa key")
	}
	if s.key, err = signingKeyOf(private); err != nil {
		return err
	}
	for _, client := range state.Clients {
		s.store.clients[client.ID] = client
	}
	maps.Copy(s.store.creates, state.Creates)
	maps.Copy(s.store.updates, state.Updates)
	maps.Copy(s.store.secrets, state.SecretChanges)
	maps.Copy(s.store.revokes, state.Revocations)
	return nil
}
