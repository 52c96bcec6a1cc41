package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	longestQuote = 60
	mostQuotes   = 10
)

// quote shows a text of somebody else's in a sentence: printable, on one line
// and short, so that a mistaken paste is not repeated at length.
func quote(text string) string {
	if utf8.RuneCountInString(text) <= longestQuote {
		return strconv.QuoteToASCII(text)
	}
	return strconv.QuoteToASCII(string([]rune(text)[:longestQuote-1])) + "…"
}

// quotes shows a few texts and counts the others.
func quotes[T ~string](texts []T) string {
	var shown []string
	for i, text := range texts {
		if i == mostQuotes {
			return strings.Join(shown, ", ") + fmt.Sprintf(" and %d more", len(texts)-i)
		}
		shown = append(shown, quote(string(text)))
	}
	return strings.Join(shown, ", ")
}

// listed shows patterns and names of the operator's own, which need no quotes.
func listed(texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	const most = 20
	if len(texts) > most {
		return strings.Join(texts[:most], ", ") + fmt.Sprintf(" and %d more", len(texts)-most)
	}
	return strings.Join(texts, ", ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
