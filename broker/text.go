package broker

import (
	"regexp"
	"unicode"
	"unicode/utf8"
)

// anID is made of the characters that RFC 3986 leaves unreserved, as OSB
// recommends: they read the same however a URL is encoded.
var anID = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,200}$`)

func isID(text string) bool { return anID.MatchString(text) && text != "." && text != ".." }

// recordable tells whether a text is printable ASCII of a bounded length.
func recordable(text string, longest int) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) <= longest
}

// printable tells whether a text can be stored and shown on one line.
func printable(text string, longest int) bool {
	if len(text) > longest || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
