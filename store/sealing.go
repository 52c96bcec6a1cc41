package store

import (
	"bytes"
	"fmt"

	"airflow-identity/identity"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Sealer seals secrets for their rows. The id of the row is associated data: a
// sealed secret that is moved to another row cannot be opened there.
type Sealer struct{ aead tink.AEAD }

// NewKeyset gives a fresh keyset as the JSON text that configuration refers to.
// It is a secret of its own and is told exactly once.
func NewKeyset() (identity.Secret, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return identity.Secret{}, fmt.Errorf("making a sealing keyset: %w", err)
	}
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return identity.Secret{}, fmt.Errorf("writing a sealing keyset: %w", err)
	}
	return identity.SecretFrom(text.String()), nil
}

// NewSealer reads a keyset, as NewKeyset writes it.
func NewSealer(text identity.Secret) (*Sealer, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewBufferString(text.Reveal())))
	if err != nil {
		// The library's error may quote what it could not read.
		return nil, fmt.Errorf("the sealing keyset is not a Tink keyset in JSON; make one with: airflow-identity keys new")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("the sealing keyset cannot be used for sealing (it needs AEAD keys): %w", err)
	}
	return &Sealer{primitive}, nil
}

func (s *Sealer) seal(secret identity.Secret, row string) ([]byte, error) {
	if secret.IsZero() {
		return nil, nil
	}
	sealed, err := s.aead.Encrypt([]byte(secret.Reveal()), []byte(row))
	if err != nil {
		return nil, fmt.Errorf("sealing the secret of %s: %w", row, err)
	}
	return sealed, nil
}

func (s *Sealer) unseal(sealed []byte, row string) (identity.Secret, error) {
	if sealed == nil {
		return identity.Secret{}, nil
	}
	text, err := s.aead.Decrypt(sealed, []byte(row))
	if err != nil {
		return identity.Secret{}, fmt.Errorf("unsealing the secret of %s: %w", row, err)
	}
	return identity.SecretFrom(string(text)), nil
}
