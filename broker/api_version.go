package broker

import (
	"net/http"
	"regexp"
	"strconv"
)

const (
	apiVersionHeader = "X-Broker-API-Version"
	oldestMinor      = 13
	// firstAsyncBindings is the minor version that brought last_operation of
	// bindings; brokerapi itself looks at it for a bind.
	firstAsyncBindings = 14
)

var anAPIVersion = regexp.MustCompile(`^2\.(\d{1,4})$`)

// apiVersionSupported refuses what this broker was not written for. Cloud
// Controller says 2.15; brokerapi itself asks for 2.14 where something is fetched.
func apiVersionSupported(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := anAPIVersion.FindStringSubmatch(r.Header.Get(apiVersionHeader))
		if parts != nil {
			if minor, err := strconv.Atoi(parts[1]); err == nil && minor >= oldestMinor {
				exchangeOf(r.Context()).minor = minor
				next.ServeHTTP(w, r)
				return
			}
		}
		answer{http.StatusPreconditionFailed, "APIVersionUnsupported",
			"the header " + apiVersionHeader + " must be there and be 2.13 or a later 2.x, such as 2.17"}.write(w, r)
	})
}
