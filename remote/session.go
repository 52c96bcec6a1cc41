package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"airflow-identity/identity"
)

// Credential gives a password or secret of our own. It is asked at every login,
// so a file that was replaced is read again before anybody is refused.
type Credential func() (identity.Secret, error)

// Fixed is a credential that never changes.
func Fixed(secret identity.Secret) Credential {
	return func() (identity.Secret, error) {
		if secret.IsZero() {
			return identity.Secret{}, errors.New("it is empty")
		}
		return secret, nil
	}
}

// Token is what a login gave us.
type Token struct {
	// Bearer is what is sent, after Scheme, which is Bearer unless it is set.
	Bearer identity.Secret
	Scheme string
	// MadeOf are secrets that can be read from it, and that no error may repeat.
	MadeOf []identity.Secret
	// RefreshAt is when the next caller renews it, ExpiresAt when it is worthless.
	RefreshAt time.Time
	ExpiresAt time.Time
}

// Session is our own login at a system: one token, fetched by one caller at a
// time, renewed early, and once more when it is refused.
type Session struct {
	system *System
	login  func(context.Context) (Token, error)
	// refused tells whether an answer of the system's own refuses the token and
	// not the call. Such an answer is definite: nothing was done.
	refused func(Answer) bool

	turn  chan struct{} // full while somebody logs in
	mu    sync.Mutex
	token Token
}

// NewSession makes a session that is not yet logged in.
func NewSession(system *System, login func(context.Context) (Token, error), refused func(Answer) bool) *Session {
	return &Session{system: system, login: login, refused: refused, turn: make(chan struct{}, 1)}
}

// Do makes a call with the token. Where no token can be had the call was never
// written. Where the token is refused it is renewed once and the call repeated
// once, a POST too: the first one was not carried out. A login that gives the same
// token again has no other, and the refusal stands.
func (s *Session) Do(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := s.system.Within(ctx)
	defer cancel()

	token, err := s.fresh(ctx, Token{})
	if err != nil {
		return Answer{}, s.system.Unsent(r.Call, fmt.Errorf("no token: %w", err))
	}
	answer, err := s.system.Do(ctx, bearing(r, token))
	if err != nil || answer.Status < 400 || !s.refused(answer) {
		return answer, err
	}

	renewed, err := s.fresh(ctx, token)
	if err != nil {
		return Answer{}, s.system.Unsent(r.Call, fmt.Errorf("the token was refused, and no other to be had: %w", err))
	}
	if renewed.Bearer == token.Bearer {
		return answer, nil // it would be refused again
	}
	return s.system.Do(ctx, bearing(r, renewed))
}

// Renew fetches another token than there is, or a first one: what it may may have
// changed. Of several at a time one does it.
func (s *Session) Renew(ctx context.Context) error {
	ctx, cancel := s.system.Within(ctx)
	defer cancel()
	_, err := s.fresh(ctx, s.current())
	return err
}

// LoggedIn tells whether there is a token that has not come to its end.
func (s *Session) LoggedIn() bool {
	token := s.current()
	return !token.Bearer.IsZero() && s.system.Clock().Before(token.ExpiresAt)
}

// Authorize puts the token into the header of a request that somebody else makes. The
// error says why there is none.
func (s *Session) Authorize(ctx context.Context, header http.Header) error {
	ctx, cancel := s.system.Within(ctx)
	defer cancel()
	token, err := s.fresh(ctx, Token{})
	if err != nil {
		return err
	}
	token.into(header)
	return nil
}

func (t Token) into(header http.Header) {
	scheme := t.Scheme
	if scheme == "" {
		scheme = "Bearer"
	}
	header.Set("Authorization", scheme+" "+t.Bearer.Reveal())
}

func bearing(r Request, token Token) Request {
	r.Header = maps.Clone(r.Header)
	if r.Header == nil {
		r.Header = http.Header{}
	}
	token.into(r.Header)
	r.Secrets = append(append(r.Secrets[:len(r.Secrets):len(r.Secrets)], token.Bearer), token.MadeOf...)
	return r
}

// fresh gives a token that is not due for renewal and is not the refused one.
func (s *Session) fresh(ctx context.Context, refused Token) (Token, error) {
	if token := s.current(); s.good(token, refused) {
		return token, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Token{}, fmt.Errorf("waiting for a login: %w", context.Cause(ctx))
	}
	token := s.current()
	if s.good(token, refused) {
		return token, nil // whoever had the turn before us fetched it
	}

	renewed, err := s.login(ctx)
	if err != nil {
		if token.Bearer != refused.Bearer && s.system.Clock().Before(token.ExpiresAt) {
			return token, nil // due for renewal, and still good
		}
		return Token{}, err
	}
	s.mu.Lock()
	s.token = renewed
	s.mu.Unlock()
	return renewed, nil
}

func (s *Session) current() Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

func (s *Session) good(token, refused Token) bool {
	return !token.Bearer.IsZero() && token.Bearer != refused.Bearer && s.system.Clock().Before(token.RefreshAt)
}
