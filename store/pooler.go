package store

import "strings"

const execMode = "default_query_exec_mode"

// ThroughPooler makes a database's URL one for a pooler that gives a connection
// away between transactions, such as PgBouncer with pool_mode=transaction.
//
// What a session keeps is nobody's there, so statements go without a name: the
// first time that a connection meets one it asks for its types, and remembers
// those on our side. The mode that asks nothing at all takes the types from Go's,
// and knows none for our lists.
// A mode that the URL names already stays.
func ThroughPooler(url string) string {
	if strings.Contains(url, execMode) {
		return url
	}
	separator := "?"
	switch {
	case !strings.Contains(url, "://"):
		separator = " " // keywords and values
	case strings.Contains(url, "?"):
		separator = "&"
	}
	return url + separator + execMode + "=cache_describe"
}
