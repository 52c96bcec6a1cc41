package uaa

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
)

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	f := start(t, Config{})

	got := f.do("GET", "/token_keys", "")
	etag := got.header.Get("ETag")
	if got.status != 200 || etag == "" {
		t.Fatalf("got %d, ETag %q, want 200 and one", got.status, etag)
	}
	if again := f.do("GET", "/token_keys", "", "If-None-Match", etag); again.status != 304 || again.body != "" {
		t.Errorf("If-None-Match: got %d %q, want 304 and nothing", again.status, again.body)
	}

	key := got.json(t)["keys"].([]any)[0].(map[string]any)
	for field, want := range map[string]string{"kty": "RSA", "e": "AQAB", "use": "sig", "alg": "RS256", "kid": f.key.id} {
		if key[field] != want {
			t.Errorf("%s: got %v, want %s", field, key[field], want)
		}
	}
	modulus, err := base64.RawURLEncoding.DecodeString(key["n"].(string))
	if err != nil || len(modulus) != 257 || modulus[0] != 0 {
		t.Fatalf("n: got %d bytes (%v), want 257 of which the first is zero", len(modulus), err)
	}
	block, _ := pem.Decode([]byte(key["value"].(string)))
	if block == nil {
		t.Fatalf("value: got %v, want a PEM block", key["value"])
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(*rsa.PublicKey)
	if public.N.Cmp(new(big.Int).SetBytes(modulus)) != 0 {
		t.Error("value and n: got two keys, want one")
	}

	token := f.token("reader")
	end := strings.LastIndex(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token[:end]))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
		t.Errorf("a token's signature: got %v, want it to match the published key", err)
	}
}

func TestEveryServerHasItsOwnKey(t *testing.T) {
	t.Parallel()
	var ids []string
	for range 2 {
		server, err := Start(Config{})
		if err != nil {
			t.Fatal(err)
		}
		server.Close()
		ids = append(ids, server.key.id)
	}
	if ids[0] == ids[1] {
		t.Errorf("kid: got %s twice, want two", ids[0])
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		cfg    Config
		issuer string // empty: the server's own URL
	}{
		"at the root":         {Config{}, ""},
		"with a context path": {Config{ContextPath: "/uaa"}, ""},
		"with an issuer":      {Config{Issuer: "https://uaa.example.com/"}, "https://uaa.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, c.cfg)
			issuer := c.issuer
			if issuer == "" {
				issuer = f.URL()
			}
			for _, path := range []string{"/.well-known/openid-configuration", "/oauth/token/.well-known/openid-configuration"} {
				body := f.do("GET", path, "").json(t)
				for key, want := range map[string]string{
					"issuer": issuer + "/oauth/token", "token_endpoint": issuer + "/oauth/token", "jwks_uri": issuer + "/token_keys",
				} {
					if body[key] != want {
						t.Errorf("%s: %s: got %v, want %s", path, key, body[key], want)
					}
				}
			}
			if got := f.Issuer(); got != issuer+"/oauth/token" {
				t.Errorf("Issuer: got %s, want %s/oauth/token", got, issuer)
			}
		})
	}
}
