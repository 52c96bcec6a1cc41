package airflow

import (
	"bytes"
	"encoding/json"
	"strings"
)

const stars = "***"

// sensitive is what makes a key look secret, anywhere in it and in any case: so
// token_url and secret_version are hidden, and uaa_url and key_guid are not.
var sensitive = []string{
	"access_token", "api_key", "apikey", "authorization", "passphrase", "passwd", "password", "private_key",
	"secret", "token", "keyfile_dict", "service_account", "webhook_url", "bearer", "dsn", "auth_header",
	"service_key",
}

func isSensitive(key string) bool {
	key = strings.ToLower(key)
	for _, part := range sensitive {
		if strings.Contains(key, part) {
			return true
		}
	}
	return false
}

// redactExtra writes extra anew with stars for what looks secret, keys in their
// order and with the spaces that Python's json puts.
func redactExtra(extra string) string {
	if extra == "" {
		return ""
	}
	decoder := json.NewDecoder(strings.NewReader(extra))
	decoder.UseNumber()
	var out bytes.Buffer
	if err := redactValue(decoder, &out, false); err != nil {
		return extra // put there by Go code past the rules: shown as it is
	}
	return out.String()
}

// redactValue copies one value. Below a sensitive key every text is hidden, however
// deep.
func redactValue(decoder *json.Decoder, out *bytes.Buffer, hidden bool) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		if _, isText := token.(string); isText && hidden {
			token = stars
		}
		return write(out, token)
	}

	out.WriteString(delim.String())
	for first := true; decoder.More(); first = false {
		if !first {
			out.WriteString(", ")
		}
		below := hidden
		if delim == '{' {
			key, err := decoder.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			below = hidden || isSensitive(name)
			if err := write(out, name); err != nil {
				return err
			}
			out.WriteString(": ")
		}
		if err := redactValue(decoder, out, below); err != nil {
			return err
		}
	}
	end, err := decoder.Token()
	if err != nil {
		return err
	}
	out.WriteString(end.(json.Delim).String())
	return nil
}

func write(out *bytes.Buffer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // Encode ends its value with a line break
	return nil
}
