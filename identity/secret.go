package identity

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
)

const (
	secretLength   = 43
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	mask           = "••••••"
)

// Secret is a UAA client's secret. However it is printed, logged or marshalled
// it shows a mask; Reveal is the only way to the text, so a search for that
// word finds every place where a secret leaves the process.
type Secret struct{ text string }

// NewSecret draws 43 base62 characters, 256 bits. UAA truncates or refuses more
// than 72 bytes and decodes "+", "%" and ":" in Basic credentials in ways that
// differ by version, so only letters and digits are used
// (reference: UAA as measured, secrets and Basic authentication).
func NewSecret() Secret {
	text := make([]byte, secretLength)
	limit := big.NewInt(int64(len(secretAlphabet)))
	for i := range text {
		n, err := rand.Int(rand.Reader, limit)
		if err != nil {
			panic(fmt.Sprintf("reading the system's random numbers: %v", err))
		}
		text[i] = secretAlphabet[n.Int64()]
	}
	return Secret{string(text)}
}

// SecretFrom wraps a text that is already known, such as one unsealed from a row.
func SecretFrom(text string) Secret { return Secret{text} }

// Reveal gives the text, for the call that sends it and for nothing else.
func (s Secret) Reveal() string { return s.text }

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

func (s Secret) String() string               { return mask }
func (s Secret) GoString() string             { return mask }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(mask)) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(mask) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(mask) }
