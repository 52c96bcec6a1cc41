package uaa

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
)

// signingKey is a server's own key. UAA's zones share one; two servers never do.
type signingKey struct {
	private *rsa.PrivateKey
	id      string
	set     []byte // the JWKS document
	etag    string
}

func newSigningKey() (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	return signingKeyOf(private)
}

func signingKeyOf(private *rsa.PrivateKey) (*signingKey, error) {
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encoding a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	key := &signingKey{private: private, id: "key-" + hex.EncodeToString(sum[:4])}
	key.etag = `"` + hex.EncodeToString(sum[4:12]) + `"`

	// Java writes the modulus as a signed number: its leading zero byte ends up
	// in "n", and strict parsers of JWKs stumble over it.
	modulus := append([]byte{0}, private.N.Bytes()...)
	var set bytes.Buffer
	if err := encode(&set, map[string]any{"keys": []any{map[string]any{
		"kty":   "RSA",
		"e":     base64.RawURLEncoding.EncodeToString(big.NewInt(int64(private.E)).Bytes()),
		"use":   "sig",
		"kid":   key.id,
		"alg":   "RS256",
		"value": strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"n":     base64.RawURLEncoding.EncodeToString(modulus),
	}}}); err != nil {
		return nil, err
	}
	key.set = set.Bytes()
	return key, nil
}

// sign makes a JWT. The jku always says https, even where the issuer does not.
func (k *signingKey) sign(issuer string, claims map[string]any) (string, error) {
	_, rest, _ := strings.Cut(issuer, "://")
	header, err := json.Marshal(map[string]any{
		"alg": "RS256", "typ": "JWT", "kid": k.id, "jku": "https://" + rest + "/token_keys",
	})
	if err != nil {
		return "", fmt.Errorf("encoding a token's header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding a token's claims: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

var (
	errUndecodable = errors.New("not a jwt")
	errSignature   = errors.New("signature does not match")
)

// open checks a token's signature and gives its claims.
func (k *signingKey) open(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errUndecodable
	}
	var header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return nil, err
	}
	var claims map[string]any
	if err := decodePart(parts[1], &claims); err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, errUndecodable
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if header.Alg != "RS256" || header.Kid != k.id ||
		rsa.VerifyPKCS1v15(&k.private.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return nil, errSignature
	}
	return claims, nil
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || json.Unmarshal(text, into) != nil {
		return errUndecodable
	}
	return nil
}

func (s *Server) tokenKeys(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", s.key.etag)
	if r.Header.Get("If-None-Match") == s.key.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(s.key.set)
}
