package broker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"airflow-identity/audit"
	"airflow-identity/identity"

	"github.com/google/uuid"
)

const (
	requestIdentityHeader     = "X-Broker-API-Request-Identity"
	originatingIdentityHeader = "X-Broker-API-Originating-Identity"

	longestRequestIdentity = 200
	longestUser            = 255
	longestOriginator      = 8 << 10
)

// exchange is one request and its answer, as the log and the audit tell of it.
type exchange struct {
	requestID string
	actor     audit.Actor
	// unrecordable says which identity cannot be written down as it was sent.
	unrecordable string

	verb     verb
	instance string
	binding  string
	word     string // of the answer, if it is an error
	// minor is that of the API version that the platform speaks.
	minor int
	// header is the answer's, for what brokerapi does not set.
	header http.Header
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{actor: audit.Actor{Kind: "platform"}, header: http.Header{}}
}

func (x *exchange) origin(policy string) identity.Origin {
	return identity.Origin{Actor: x.actor, RequestID: x.requestID, Policy: policy}
}

// withExchange gives every request an id, the platform's own or a new one, and
// echoes both identities before anything can go wrong.
func withExchange(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{requestID: r.Header.Get(requestIdentityHeader), actor: audit.Actor{Kind: "platform"}, header: w.Header()}
		if x.requestID == "" || !recordable(x.requestID, longestRequestIdentity) {
			if x.requestID != "" {
				x.unrecordable = requestIdentityHeader + " must be at most 200 printable ASCII characters, best a uuid"
			}
			x.requestID = uuid.NewString()
			r.Header.Set(requestIdentityHeader, x.requestID)
		}
		w.Header().Set(requestIdentityHeader, x.requestID)

		if header := r.Header.Get(originatingIdentityHeader); header != "" {
			platform, user, ok := originator(header)
			if ok {
				x.actor.Platform, x.actor.User = platform, user
				w.Header().Set(originatingIdentityHeader, header)
			} else if x.unrecordable == "" {
				x.unrecordable = originatingIdentityHeader + " must be a platform's name, a space, and a JSON object in base64 whose user_id, if it has one, is a string of at most 255 characters"
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	})
}

// originator reads who caused a request: "cloudfoundry eyJ1c2VyX2lkIjoi…".
func originator(header string) (platform, user string, ok bool) {
	if len(header) > longestOriginator {
		return "", "", false
	}
	platform, encoded, found := strings.Cut(header, " ")
	if !found || platform == "" || !recordable(platform, longestUser) {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	var value *struct {
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal(decoded, &value); err != nil || value == nil || !printable(value.UserID, longestUser) {
		return "", "", false
	}
	return platform, value.UserID, true
}
