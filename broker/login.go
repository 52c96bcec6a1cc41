package broker

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"airflow-identity/identity"
)

// Credential is a login of the platform. There may be two, so that the platform
// can be moved from one to the other with no request refused between.
type Credential struct {
	User     string
	Password identity.Secret
}

// login is a credential as it is compared: hashes are of one length, and tell
// nothing of how much of a guess was right.
type login struct{ user, password [sha256.Size]byte }

// loggedIn lets those in who know a login. Every login is compared in full, so
// the time it takes does not depend on which one it is or how close a guess came.
func loggedIn(credentials []Credential, next http.Handler) http.Handler {
	logins := make([]login, len(credentials))
	for i, c := range credentials {
		logins[i] = login{sha256.Sum256([]byte(c.User)), sha256.Sum256([]byte(c.Password.Reveal()))}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		guess := login{sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))}
		known := 0
		for _, l := range logins {
			known |= subtle.ConstantTimeCompare(guess.user[:], l.user[:]) & subtle.ConstantTimeCompare(guess.password[:], l.password[:])
		}
		if known == 0 {
			w.Header().Set("WWW-Authenticate", `Basic realm="airflow-identity", charset="UTF-8"`)
			answer{http.StatusUnauthorized, "Unauthorized", "this login is not known here: send the user and password that the broker was registered with"}.write(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
