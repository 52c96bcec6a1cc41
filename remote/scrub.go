package remote

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"airflow-identity/identity"
)

const (
	leftOut = "[left out: it repeats a secret of the request]"
	// telling is how much of a secret may not appear: validators like to quote
	// the ends of a long value.
	telling = 12
	// wordsMost bounds what a remote system can write into our logs.
	wordsMost = 300
)

// Scrub gives the text unless it repeats one of the secrets, whole or in part,
// plain or as JSON and URLs write it.
func Scrub(text string, secrets ...identity.Secret) string {
	for _, secret := range secrets {
		if repeats(text, secret.Reveal()) {
			return leftOut
		}
	}
	return text
}

func repeats(text, secret string) bool {
	if secret == "" {
		return false
	}
	quoted, _ := json.Marshal(secret)
	for _, written := range []string{secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret)} {
		size := min(telling, len(written))
		for start := 0; start+size <= len(written); start++ {
			if strings.Contains(text, written[start:start+size]) {
				return true
			}
		}
	}
	return false
}

// Words makes what somebody else wrote fit for an error of ours: in one line, not
// long, and without the secrets.
func Words(text string, secrets ...identity.Secret) string { return oneLine(Scrub(text, secrets...)) }

// scrubError keeps an error unless its text repeats a secret. net/http quotes
// what it cannot parse, so even a transport's error can hold an echo.
func scrubError(err error, secrets []identity.Secret) error {
	if err != nil && Scrub(err.Error(), secrets...) == leftOut {
		return errors.New(leftOut)
	}
	return err
}

// oneLine makes a remote system's words fit for a log.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(text) <= wordsMost {
		return text
	}
	cut := wordsMost
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
