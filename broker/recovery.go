package broker

import (
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
)

// recovered turns a panic into an answer, so that the platform hears of it at
// once and the next request is served. The log gets the place; of the value only
// what the runtime itself wrote, since any other could hold what was sent.
func recovered(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler {
				panic(value)
			}
			cause := "a value of the program's own"
			if failure, ok := value.(runtime.Error); ok {
				cause = failure.Error()
			}
			x := exchangeOf(r.Context())
			logger.Error("a request panicked",
				slog.String("request_id", x.requestID),
				slog.String("verb", string(x.verb)),
				slog.String("instance", x.instance),
				slog.String("binding", x.binding),
				slog.String("cause", cause),
				slog.String("stack", string(debug.Stack())),
			)
			internalError(x).write(w, r)
		}()
		next.ServeHTTP(w, r)
	})
}
