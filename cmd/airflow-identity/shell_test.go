package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// shellCommands reads the little shell that our texts are written in: words,
// both kinds of quotes, $name, and a command for each line. So the lines that
// people paste are run by tests on machines without curl and jq.
func shellCommands(text string, variables map[string]string) ([][]string, error) {
	var (
		commands [][]string
		words    []string
		word     strings.Builder
		begun    bool // of the word, which may be empty as '' is
		quote    byte
	)
	endWord := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '$' && quote != '\'':
			name := text[i+1:]
			if end := strings.IndexFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }); end >= 0 {
				name = name[:end]
			}
			value, known := variables[name]
			if !known {
				return nil, fmt.Errorf("there is no variable %q", name)
			}
			word.WriteString(value)
			begun = true
			i += len(name)
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == '\\' && strings.HasPrefix(text[i+1:], "\n"):
			i++
		case c == ' ' || c == '\t':
			endWord()
		case c == '\n':
			if endWord(); len(words) > 0 {
				commands = append(commands, words)
			}
			words = nil
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is never closed", quote)
	}
	if endWord(); len(words) > 0 {
		commands = append(commands, words)
	}
	return commands, nil
}

// osbCall is a line that calls the shell function osb of our texts.
type osbCall struct{ method, url, body string }

func parseOSB(words []string) (osbCall, error) {
	call := osbCall{method: http.MethodGet}
	if len(words) == 0 || words[0] != "osb" {
		return call, fmt.Errorf("%q does not call osb", words)
	}
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "-X" && i+1 < len(words):
			i++
			call.method = words[i]
		case words[i] == "-d" && i+1 < len(words):
			i++
			call.body = words[i]
		case strings.HasPrefix(words[i], "http") && call.url == "":
			call.url = words[i]
		default:
			return call, fmt.Errorf("what is %q in %q?", words[i], words)
		}
	}
	return call, nil
}

// send does what the shell function osb does with curl.
func (c osbCall) send(user, password string) (int, map[string]any, error) {
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	request, err := http.NewRequest(c.method, c.url, body)
	if err != nil {
		return 0, nil, err
	}
	request.SetBasicAuth(user, password)
	request.Header.Set("X-Broker-API-Version", "2.15")
	request.Header.Set("Content-Type", "application/json")
	return fetch(request)
}

// runOSB runs every line that calls osb and gives the statuses.
func runOSB(t *testing.T, text string, variables map[string]string, user, password string) []int {
	t.Helper()
	commands, err := shellCommands(text, variables)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var statuses []int
	for _, words := range commands {
		call, err := parseOSB(words)
		if err != nil {
			t.Fatal(err)
		}
		status, answer, err := call.send(user, password)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		if status >= 400 {
			t.Errorf("%q: got %d %v", words, status, answer)
		}
		statuses = append(statuses, status)
	}
	return statuses
}

func TestShellCommands(t *testing.T) {
	t.Parallel()
	got, err := shellCommands("osb -X PUT \"$broker/v2\" \\\n  -d '{\"a\":\"'$id'\",\n\"b\":\"$id\"}'\nosb ''\n", map[string]string{"broker": "http://b", "id": "7"})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"osb", "-X", "PUT", "http://b/v2", "-d", "{\"a\":\"7\",\n\"b\":\"$id\"}"}, {"osb", ""}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, text := range []string{"osb 'x", "osb $nothing"} {
		if _, err := shellCommands(text, nil); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
