package airflow

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

const stars = "***"

// sensitive is what makes a key look secret, anywhere in it, in any case and with any
// marks between its words: so token_url, secret_version and proxies are hidden, and
// uaa_url and key_guid are not.
var sensitive = []string{
	"access_key", "access_token", "api_key", "apikey", "auth_header", "authorization", "bearer", "connection_string",
	"dsn", "passphrase", "passwd", "password", "private_key", "proxy", "proxy_password", "proxies", "secret",
	"service_account", "service_key", "token", "keyfile_dict", "webhook_url",
}

var marks = regexp.MustCompile(`\W+`)

// sensitiveV1 is the same for Airflow 2.11, where marks count as they stand.
var sensitiveV1 = []string{
	"access_token", "api_key", "apikey", "authorization", "passphrase", "passwd", "password", "private_key", "proxy",
	"proxies", "secret", "token", "keyfile_dict", "service_account",
}

func isSensitiveV1(key string) bool {
	return holdsAny(strings.ToLower(strings.TrimSpace(key)), sensitiveV1)
}

func isSensitive(key string) bool {
	key = marks.ReplaceAllString(strings.ToLower(strings.TrimSpace(key)), "_")
	return holdsAny(key, sensitive)
}

func holdsAny(key string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(key, part) })
}

// redactExtra writes extra anew with stars for what looks secret, keys in their
// order and with the spaces that Python's json puts.
func redactExtra(extra string, sensitive func(key string) bool) string {
	return rewritten(extra, nil, sensitive, func(text string, _ any, hidden bool) any {
		if hidden {
			return stars
		}
		return text
	})
}

// mergeExtra is what a PATCH makes of extra: stars where something looks secret
// are what was there, so that a reader may write back what it was shown. All else
// is as it is sent, and keys that are left out are gone.
func mergeExtra(sent, old string) string {
	var was any
	if sent == "" || json.Unmarshal([]byte(old), &was) != nil {
		return sent
	}
	return rewritten(sent, was, isSensitive, func(text string, was any, hidden bool) any {
		if hidden && text == stars && was != nil {
			return was
		}
		return text
	})
}

// rewritten copies a JSON text with other texts in it. The change gets each, what
// stood in its place before, or nil, and whether its key hides it.
func rewritten(text string, was any, sensitive func(key string) bool, change func(text string, was any, hidden bool) any) string {
	if text == "" {
		return ""
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	r := rewriter{decoder: decoder, sensitive: sensitive, change: change}
	if err := r.value(was, false); err != nil {
		return text // put there by Go code past the rules: shown as it is
	}
	return r.out.String()
}

type rewriter struct {
	decoder   *json.Decoder
	out       bytes.Buffer
	sensitive func(key string) bool
	change    func(text string, was any, hidden bool) any
}

// value copies one value. Below a sensitive key every text is hidden, however deep.
func (r *rewriter) value(was any, hidden bool) error {
	token, err := r.decoder.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		if text, isText := token.(string); isText {
			token = r.change(text, was, hidden)
		}
		return r.write(token)
	}

	object, _ := was.(map[string]any)
	list, _ := was.([]any)
	r.out.WriteString(delim.String())
	for i := 0; r.decoder.More(); i++ {
		if i > 0 {
			r.out.WriteString(", ")
		}
		var before any
		below := hidden
		if delim == '{' {
			key, err := r.decoder.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			before, below = object[name], hidden || r.sensitive(name)
			if err := r.write(name); err != nil {
				return err
			}
			r.out.WriteString(": ")
		} else if i < len(list) {
			before = list[i]
		}
		if err := r.value(before, below); err != nil {
			return err
		}
	}
	end, err := r.decoder.Token()
	if err != nil {
		return err
	}
	r.out.WriteString(end.(json.Delim).String())
	return nil
}

func (r *rewriter) write(value any) error {
	encoder := json.NewEncoder(&r.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	r.out.Truncate(r.out.Len() - 1) // Encode ends its value with a line break
	return nil
}
