package identity

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	secret := SecretFrom("open-sesame")
	inside := struct {
		Name   string
		Secret Secret
		Nested *Secret
	}{"n", secret, &secret}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", secret, "pointer", &secret, "inside", inside)
	asJSON, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{
		"String": secret.String(),
		"%v":     fmt.Sprintf("%v", secret), "%+v": fmt.Sprintf("%+v", inside), "%#v": fmt.Sprintf("%#v", inside),
		"%s": fmt.Sprintf("%s", secret), "%q": fmt.Sprintf("%q", secret), "%x": fmt.Sprintf("%x", secret), "%d": fmt.Sprintf("%d", secret),
		"pointer": fmt.Sprintf("%v %+v %#v", &secret, inside.Nested, inside.Nested),
		"error":   fmt.Errorf("with %v", secret).Error(),
		"json":    string(asJSON), "slog": log.String(),
	}
	for how, text := range printed {
		if strings.Contains(text, "sesame") || strings.Contains(text, fmt.Sprintf("%x", "sesame")) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
	if secret.Reveal() != "open-sesame" {
		t.Error("reveal must give the text")
	}
}

func TestNewSecret(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[A-Za-z0-9]{43}$`)
	seen := map[string]bool{}
	for range 1000 {
		text := NewSecret().Reveal()
		if !form.MatchString(text) {
			t.Fatalf("got a secret of another form, length %d", len(text))
		}
		if seen[text] {
			t.Fatal("the same secret twice")
		}
		seen[text] = true
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	marker := Marker{Broker: "b-1", Connection: "acme_orders", Identity: "i-1", Generation: 7}
	connection := Connection{Marker: marker, Description: "Managed by Airflow Identity for acme/prod/orders: orders.read. Edits are undone."}
	got, found := ParseMarker(connection.Describe() + "\n")
	if !found || got != marker {
		t.Errorf("parsing what was written: got %+v %t, want %+v", got, found, marker)
	}
	for _, description := range []string{
		"", "a connection", "[afi1 b c i]", "[afi1 b c i 0]", "[afi1 b c i x]", "[afi2 b c i 1]", "[afi1 b c i 1] and more", "afi1 b c i 1]",
	} {
		if m, found := ParseMarker(description); found {
			t.Errorf("found %+v in %q, which holds none", m, description)
		}
	}
	other := marker
	other.Generation++
	if !marker.SameOwner(other) {
		t.Error("another generation is the same owner")
	}
	other.Identity = "i-2"
	if marker.SameOwner(other) {
		t.Error("another identity is another owner")
	}
}
