package uaa

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// listCount is how many clients a list shows if it is not told, listMost how
	// many it shows whatever it is told.
	listCount = 100
	listMost  = 500
)

// listing is what a list is asked for.
type listing struct {
	matches    func(id string) bool
	compare    func(a, b *record) int
	start      int // from 1
	count      int
	descending bool
}

func (s *Server) listClients(w http.ResponseWriter, r *http.Request) {
	if _, fail := s.authorize(r, "uaa.admin", "clients.read", "clients.admin", "zones.uaa.admin"); fail != nil {
		fail.send(w, r)
		return
	}
	asked, status := readListing(r.URL.Query())
	switch status {
	case http.StatusOK:
		sendJSON(w, http.StatusOK, asked.answer(s.store.all()))
	case http.StatusNotImplemented:
		leftOut(w, r)
	default:
		sendPage(w, r, status)
	}
}

// answer is one page. What itemsPerPage says is not how many clients are on it.
func (l listing) answer(clients []*record) map[string]any {
	clients = slices.DeleteFunc(clients, func(c *record) bool { return !l.matches(c.ID) })
	slices.SortFunc(clients, l.compare)
	if l.descending {
		slices.Reverse(clients)
	}
	total := len(clients)
	from := min(l.start-1, total)
	resources := []any{}
	for _, client := range clients[from:min(from+max(l.count, 0), total)] {
		shown := client.answer()
		delete(shown, "required_user_groups") // which only a single client's answer has
		resources = append(resources, shown)
	}
	return map[string]any{
		"resources":    resources,
		"startIndex":   l.start,
		"itemsPerPage": min(l.count, total),
		"totalResults": total,
		"schemas":      []string{"http://cloudfoundry.org/schema/scim/oauth-clients-1.0"},
	}
}

// readListing gives the status that a query ends with. What UAA cannot make sense of
// is a 500 of its own.
func readListing(query url.Values) (listing, int) {
	l := listing{compare: func(a, b *record) int { return strings.Compare(a.ID, b.ID) }}
	if query.Has("attributes") {
		return l, http.StatusNotImplemented
	}
	var ok bool
	if l.start, ok = number(query, "startIndex", 1); !ok {
		return l, http.StatusBadRequest
	}
	if l.count, ok = number(query, "count", listCount); !ok {
		return l, http.StatusBadRequest
	}
	l.count = min(l.count, listMost)
	if l.start < 1 {
		return l, http.StatusInternalServerError
	}
	switch strings.ToLower(query.Get("sortBy")) {
	case "", "client_id":
	case "lastmodified":
		l.compare = func(a, b *record) int {
			return cmp.Or(cmp.Compare(a.LastModified, b.LastModified), strings.Compare(a.ID, b.ID))
		}
	default:
		return l, http.StatusInternalServerError
	}
	order := query.Get("sortOrder")
	l.descending = order != "" && !strings.EqualFold(order, "ascending")
	var status int
	l.matches, status = readFilter(query.Get("filter"))
	return l, status
}

func number(query url.Values, key string, fallback int) (int, bool) {
	text := query.Get(key)
	if text == "" {
		return fallback, true
	}
	value, err := strconv.Atoi(text)
	return value, err == nil
}

var (
	comparison = regexp.MustCompile(`(?i)^\s*([a-z_]+)\s+(eq|co|sw)\s+(?:"([^"]*)"|'([^']*)')\s*$`)
	presence   = regexp.MustCompile(`(?i)^\s*client_id\s+pr\s*$`)
	// notImitated are filters that UAA takes and this does not.
	notImitated = regexp.MustCompile(`(?i)\s(and|or)\s|^\s*(scope|authorities|authorized_grant_types|redirect_uri|access_token_validity|` +
		`refresh_token_validity|autoapprove|created_by|lastmodified|required_user_groups)\s+(eq|co|sw|pr|gt|ge|lt|le)\b`)
)

// readFilter compares as UAA's database does: whatever the case, and with "_" and
// "%" in "sw" and "co" standing for any character and any text.
func readFilter(filter string) (func(id string) bool, int) {
	if filter == "" || presence.MatchString(filter) {
		return func(string) bool { return true }, http.StatusOK
	}
	parts := comparison.FindStringSubmatch(filter)
	if parts == nil || !strings.EqualFold(parts[1], "client_id") {
		if notImitated.MatchString(filter) {
			return nil, http.StatusNotImplemented
		}
		return nil, http.StatusInternalServerError
	}
	value := parts[3] + parts[4]
	if strings.EqualFold(parts[2], "eq") {
		return func(id string) bool { return strings.EqualFold(id, value) }, http.StatusOK
	}
	like := strings.NewReplacer("_", ".", "%", ".*").Replace(regexp.QuoteMeta(value)) + ".*"
	if strings.EqualFold(parts[2], "co") {
		like = ".*" + like
	}
	return regexp.MustCompile("(?is)^" + like + "$").MatchString, http.StatusOK
}
