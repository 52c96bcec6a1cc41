package remote

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"airflow-identity/identity"
)

func TestOutcomeOfAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want identity.Outcome
	}{
		{"never written", &Error{Err: errors.New("refused")}, identity.Later},
		{"written, no answer", &Error{Written: true}, identity.Unknown},
		{"its own 400", &Error{Written: true, Own: true, Status: 400}, identity.Rejected},
		{"its own 401", &Error{Written: true, Own: true, Status: 401}, identity.Later},
		{"its own 403", &Error{Written: true, Own: true, Status: 403}, identity.Rejected},
		{"its own 404", &Error{Written: true, Own: true, Status: 404}, identity.Rejected},
		{"its own 408", &Error{Written: true, Own: true, Status: 408}, identity.Later},
		{"its own 422", &Error{Written: true, Own: true, Status: 422}, identity.Rejected},
		{"its own 429", &Error{Written: true, Own: true, Status: 429}, identity.Later},
		{"its own 500", &Error{Written: true, Own: true, Status: 500}, identity.Unknown},
		{"a stranger's 400", &Error{Written: true, Status: 400}, identity.Unknown},
		{"a stranger's 404", &Error{Written: true, Status: 404, RouterError: true}, identity.Unknown},
		{"a 302", &Error{Written: true, Status: 302}, identity.Unknown},
		{"a 200 that cannot be read", &Error{Written: true, Status: 200}, identity.Unknown},
		{"another error", errors.New("boom"), identity.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := OutcomeOf(test.err); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  Error
		want string
	}{
		{"never sent", Error{Err: errors.New("connection refused")}, "uaa: GET /x: never sent: connection refused"},
		{"no answer", Error{Written: true, Err: errors.New("EOF")}, "uaa: GET /x: sent, and no answer: EOF"},
		{"own", Error{Written: true, Own: true, Status: 409, Code: "invalid_client", Description: "Client already exists"},
			"uaa: GET /x: 409 invalid_client: Client already exists"},
		{"own without a code", Error{Written: true, Own: true, Status: 403}, "uaa: GET /x: 403"},
		{"the router's", Error{Written: true, RouterError: true, Status: 404}, "uaa: GET /x: 404 from the router in front of it"},
		{"a stranger's", Error{Written: true, Status: 500}, "uaa: GET /x: 500 with an answer that is not its own"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.err.System, test.err.Call = "uaa", "GET /x"
			if got := test.err.Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, want string
	}{
		{"an object", ` {"a":1}`, ""},
		{"nothing", " \n", "empty"},
		{"a page", "<!DOCTYPE html>", "HTML"},
		{"half an object", `{"a":"hush-hush`, "not the JSON"},
		{"another type", `["hush-hush"]`, "not the JSON"},
		{"an object and more", `{"a":1} hush-hush`, "not the JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var into struct{ A int }
			err := Answer{Body: []byte(test.body)}.JSON(&into)
			if test.want == "" {
				if err != nil {
					t.Errorf("got error %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got error %v, want one about %q without the body", err, test.want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"none", "", 0},
		{"seconds", "7", 7 * time.Second},
		{"a date", now.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		{"a date gone by", now.Add(-time.Minute).Format(http.TimeFormat), 0},
		{"less than nothing", "-5", 0},
		{"for ever", "999999999999", time.Hour},
		{"a word", "soon", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := retryAfter(test.value, now); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	const secret = `p"ss wörd&0123456789`
	tests := []struct {
		name, text string
		kept       bool
	}{
		{"harmless", "Field required", true},
		{"whole", `input is p"ss wörd&0123456789`, false},
		{"as JSON", `input is "p\"ss wörd\u00260123456789"`, false},
		{"in a form", "password=p%22ss+w%C3%B6rd%260123456789", false},
		{"in a path", "/p%22ss%20w%C3%B6rd&0123456789/", false},
		{"its beginning", `'p"ss wörd&01...'`, false},
		{"its end", "'...&0123456789'", true}, // 11 characters: told too little
		{"its longer end", "'...d&0123456789'", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Scrub(test.text, identity.Secret{}, identity.SecretFrom(secret))
			if kept := got == test.text; kept != test.kept {
				t.Errorf("got %q, want kept %v", got, test.kept)
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	if got := oneLine("first\r\nlevel=error\tmsg\x1b[31m \xff"); got != "first level=error msg [31m ?" {
		t.Errorf("got %q", got)
	}
	if got := oneLine(strings.Repeat("ü", wordsMost)); len(got) > wordsMost+len("…") || !strings.HasSuffix(got, "ü…") {
		t.Errorf("got %d bytes ending in %q", len(got), got[len(got)-6:])
	}
}
