package broker

import "net/http"

// identitiesRecordable refuses a request that could not be written into the
// audit as it was sent. Who is not logged in has been turned away before.
func identitiesRecordable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if problem := exchangeOf(r.Context()).unrecordable; problem != "" {
			requestInvalid("the header "+problem).write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
