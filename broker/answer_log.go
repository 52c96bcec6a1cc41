package broker

import (
	"log/slog"
	"net/http"
	"strings"
)

// logged writes one line for each answer to the platform: enough to follow a
// request by its id, and nothing of what was in it. Probes are not worth a line.
func logged(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watched, r)
		if !strings.HasPrefix(r.URL.Path, "/v2") {
			return
		}

		x := exchangeOf(r.Context())
		level := slog.LevelInfo
		if watched.status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		logger.Log(r.Context(), level, "answered",
			slog.String("request_id", x.requestID),
			slog.String("verb", string(x.verb)),
			slog.String("instance", x.instance),
			slog.String("binding", x.binding),
			slog.Int("status", watched.status),
			slog.String("word", x.word),
		)
	})
}

// statusWriter remembers the status that was answered.
type statusWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.written {
		w.status, w.written = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
