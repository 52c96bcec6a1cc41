package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"airflow-identity/catalog"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Services answers GET /v2/catalog.
func (b *broker) Services(context.Context) ([]domain.Service, error) {
	return b.catalog.Services(), nil
}

// catalogTag names what the catalog says, as an entity tag. It is the same in
// every instance of the broker that has the same configuration.
func catalogTag(c *catalog.Catalog) (string, error) {
	said, err := json.Marshal(c.Services())
	if err != nil {
		return "", fmt.Errorf("marshalling the catalog: %w", err)
	}
	sum := sha256.Sum256(said)
	return `"` + hex.EncodeToString(sum[:16]) + `"`, nil
}

// tagged answers 304 to a platform that has this very catalog already.
func tagged(tag string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if exchangeOf(r.Context()).verb == verbCatalog {
			w.Header().Set("ETag", tag)
			if hasTag(r.Header.Values("If-None-Match"), tag) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hasTag compares weakly, as If-None-Match asks for. No tag of ours holds a comma.
func hasTag(headers []string, tag string) bool {
	for _, header := range headers {
		for known := range strings.SplitSeq(header, ",") {
			known = strings.TrimSpace(known)
			if known == "*" || strings.TrimPrefix(known, "W/") == tag {
				return true
			}
		}
	}
	return false
}
