package airflow

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	limitUnsaid = 50  // [api] fallback_page_limit
	limitMost   = 100 // [api] maximum_page_limit
)

// IsList is for a [standin.Fault] that is to meet GET of the list of connections and not
// the calls on one connection, whose paths begin in the same way.
func IsList(r *http.Request, _ []byte) bool {
	return r.Method == http.MethodGet && (r.URL.Path == connectionsPath || r.URL.Path == connectionsPathV1)
}

func (s *Server) listConnections(w http.ResponseWriter, r *http.Request) {
	who, fail := s.authorize(r, "")
	if fail != nil {
		fail.send(w)
		return
	}
	asked, fail := readListing(r.URL.Query())
	if fail != nil {
		fail.send(w)
		return
	}

	found := slices.DeleteFunc(s.store.list(), func(row row) bool {
		return !asked.pattern.matches(row.ConnectionID) || !asked.prefix.matches(row.ConnectionID) || !who.within(row.Team)
	})
	slices.SortFunc(found, asked.compare)
	first := min(asked.offset, len(found))
	last := min(first+asked.limit, len(found))
	items := make([]map[string]any, 0, last-first)
	for _, row := range found[first:last] {
		items = append(items, s.answer(row.Connection))
	}
	sendJSON(w, http.StatusOK, map[string]any{"connections": items, "total_entries": len(found)})
}

// listing is what a query asks of a list. Keys that it does not know are no error.
type listing struct {
	limit, offset   int
	order           []order
	pattern, prefix patterns
}

func readListing(query url.Values) (listing, *failure) {
	var problems []problem
	// Of a key that comes twice the last one counts, but for order_by.
	number := func(key string, unsaid int) int {
		if !query.Has(key) {
			return unsaid
		}
		text := query[key][len(query[key])-1]
		value, err := strconv.Atoi(strings.TrimSpace(text))
		loc := []any{"query", key}
		switch {
		case err != nil:
			problems = append(problems, problem{Type: "int_parsing", Loc: loc, Input: text,
				Message: "Input should be a valid integer, unable to parse string as an integer"})
		case value < 0:
			problems = append(problems, problem{Type: "greater_than_equal", Loc: loc, Input: text,
				Message: "Input should be greater than or equal to 0", Context: map[string]int{"ge": 0}})
		}
		return value
	}
	asked := listing{limit: min(number("limit", limitUnsaid), limitMost), offset: number("offset", 0)}
	if len(problems) > 0 {
		return listing{}, unprocessable(problems...)
	}

	var fail *failure
	if asked.order, fail = readOrder(query["order_by"]); fail != nil {
		return listing{}, fail
	}
	asked.pattern = readPatterns(query["connection_id_pattern"], "%", like)
	asked.prefix = readPatterns(query["connection_id_prefix_pattern"], "", begins)
	return asked, nil
}

// order is one column to sort by.
type order struct {
	compare    func(a, b row) int
	descending bool
}

// columns are what may be sorted by. Null comes first, as on SQLite; texts are
// compared by bytes, as there, where other databases have their collations.
var columns = map[string]func(a, b row) int{
	"id":            func(a, b row) int { return cmp.Compare(a.serial, b.serial) },
	"conn_id":       func(a, b row) int { return cmp.Compare(a.ConnectionID, b.ConnectionID) },
	"connection_id": func(a, b row) int { return cmp.Compare(a.ConnectionID, b.ConnectionID) },
	"conn_type":     func(a, b row) int { return cmp.Compare(a.ConnType, b.ConnType) },
	"description":   func(a, b row) int { return cmp.Compare(a.Description, b.Description) },
	"host":          func(a, b row) int { return cmp.Compare(a.Host, b.Host) },
	"team_name":     func(a, b row) int { return cmp.Compare(a.Team, b.Team) },
	"port": func(a, b row) int {
		if a.Port == nil || b.Port == nil {
			return cmp.Compare(bit(a.Port != nil), bit(b.Port != nil))
		}
		return cmp.Compare(*a.Port, *b.Port)
	},
}

func bit(set bool) int {
	if set {
		return 1
	}
	return 0
}

// readOrder gives the columns to sort by. The last is always the order in which the
// connections were made.
func readOrder(names []string) ([]order, *failure) {
	var orders []order
	for _, sent := range names {
		name := strings.TrimLeft(sent, "-")
		compare, known := columns[name]
		if !known {
			return nil, refuse(http.StatusBadRequest,
				fmt.Sprintf("Ordering with '%s' is disallowed or the attribute does not exist on the model", name))
		}
		orders = append(orders, order{compare, strings.HasPrefix(sent, "-")})
	}
	return append(orders, order{columns["id"], len(orders) > 0 && orders[0].descending}), nil
}

func (l listing) compare(a, b row) int {
	for _, order := range l.order {
		way := order.compare(a, b)
		if order.descending {
			way = -way
		}
		if way != 0 {
			return way
		}
	}
	return 0
}

// patterns are alternatives; nil matches everything.
type patterns []func(id string) bool

func (p patterns) matches(id string) bool {
	return p == nil || slices.ContainsFunc(p, func(matches func(string) bool) bool { return matches(id) })
}

// readPatterns splits a pattern at its bars. One that is a tilde stands for all, and
// a bar with nothing beside it for itself.
func readPatterns(sent []string, all string, compile func(term string) func(id string) bool) patterns {
	if len(sent) == 0 {
		return nil
	}
	pattern := sent[len(sent)-1]
	if pattern == "~" {
		pattern = all
	}
	var found patterns
	if strings.Contains(pattern, "|") {
		for term := range strings.SplitSeq(pattern, "|") {
			if term = strings.TrimSpace(term); term != "" {
				found = append(found, compile(term))
			}
		}
	}
	if found == nil {
		found = patterns{compile(pattern)}
	}
	return found
}

// like is SQL's ILIKE with a % before and after the term: it finds the term
// anywhere, and an underscore in it is any letter.
func like(term string) func(id string) bool {
	var expression strings.Builder
	expression.WriteString("(?is)")
	for _, letter := range term {
		switch letter {
		case '%':
			expression.WriteString(".*")
		case '_':
			expression.WriteString(".")
		default:
			expression.WriteString(regexp.QuoteMeta(string(letter)))
		}
	}
	return regexp.MustCompile(expression.String()).MatchString
}

// begins finds ids from a term up to its successor. It finds more than begins with
// the term: what follows the last letter or digit does not count, and the successor
// of a term that ends in 9, Z or z is that of what is before it.
func begins(term string) func(id string) bool {
	isMark := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }
	lower := strings.TrimRightFunc(term, isMark)
	upper := lower
	for upper != "" {
		last, size := utf8.DecodeLastRuneInString(upper)
		upper = upper[:len(upper)-size]
		if !isMark(last + 1) {
			upper += string(last + 1)
			break
		}
		upper = strings.TrimRightFunc(upper, isMark)
	}
	return func(id string) bool { return id >= lower && (upper == "" || id < upper) }
}
