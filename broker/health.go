package broker

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// readinessWithin bounds a probe: a platform that gets no answer asks again.
const readinessWithin = 5 * time.Second

// healthy says that the process is up. It touches nothing, so that a database
// that is down never makes the platform restart what would work again by itself.
func healthy(w http.ResponseWriter, r *http.Request) {
	if !probing(w, r) {
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "up"})
}

// ready says whether requests can be served: UAA or Airflow being down does not
// make the broker unready, since much can be done without them.
func ready(w http.ResponseWriter, r *http.Request, check func(context.Context) error, logger *slog.Logger) {
	if !probing(w, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readinessWithin)
	defer cancel()
	if err := check(ctx); err != nil {
		x := exchangeOf(r.Context())
		logger.Warn("not ready", slog.String("request_id", x.requestID), slog.Any("error", err))
		answer{http.StatusServiceUnavailable, "NotReady",
			"the database does not answer or its schema is not current; request id " + x.requestID + " finds the cause in the log"}.write(w, r)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func probing(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	methodNotAllowed(w, r, http.MethodGet)
	return false
}
