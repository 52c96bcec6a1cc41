package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Clients: made, read, updated, deleted.

func creates(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	a, err := s.create(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusCreated), a.isClient(c))
}

func createdWorks(ctx context.Context, s *uaaSite, c client) error {
	return s.accepts(ctx, c, true, "the secret it was made with", c.secret)
}

func lifeIsKept(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	c.life = 321
	if err := s.make(ctx, c); err != nil {
		return err
	}
	a, err := s.ask(ctx, s.zoneBase(), c.id, c.secret, nil)
	if err != nil {
		return err
	}
	// It is a second less, and more where UAA takes a while.
	if life, _ := a.object()["expires_in"].(float64); life > float64(c.life) || life < float64(c.life)-30 {
		return fmt.Errorf("%s: expires_in is %s; expected %d or a little less", a.call, s.say(a.object()["expires_in"]), c.life)
	}
	return nil
}

// keepsLabels looks at all three answers that could show them. One that shows some of
// them is of no kind that is known.
func keepsLabels(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	made, err := s.create(ctx, c)
	if err != nil {
		return err
	}
	if made.status/100 != 2 {
		return unknowable("no client could be made: " + made.String())
	}
	read, readErr := s.read(ctx, c)
	updated, updateErr := s.update(ctx, c)
	if err := errors.Join(readErr, updateErr); err != nil {
		return err
	}
	kept, all := 0, 0
	for _, a := range []answer{made, read, updated} {
		for key, value := range labels {
			all++
			if a.text(key) == value {
				kept++
			}
		}
	}
	switch kept {
	case all:
		return nil
	case 0:
		return handled("this UAA shows none of it: which client is whose is told by the broker's database alone, " +
			"and a client that no row knows is reported and never removed")
	default:
		return fmt.Errorf("%d of %d keys are shown; expected all", kept, all)
	}
}

// keepsLongLabels tries the most that the program ever sends.
func keepsLongLabels(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	body := c.bodyWithSecret()
	long := strings.Repeat("x", 3500-len(marshal(labels))-len(`,"contract_long":""`)-len(textOf(body["name"])))
	body["contract_long"] = long
	made, err := s.manage(ctx, http.MethodPost, restricted, body)
	if err != nil {
		return err
	}
	if made.status/100 != 2 {
		return made.expected("a client")
	}
	a, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	switch got := a.text("contract_long"); {
	case got == "":
		return unknowable("this UAA shows none of it")
	case got != long:
		return fmt.Errorf("%s: %d letters of %d are shown", a.call, len(got), len(long))
	}
	return nil
}

func taken(ctx context.Context, s *uaaSite, c client) error {
	c.secret = s.newSecret()
	a, err := s.create(ctx, c)
	if err != nil {
		return err
	}
	return a.refusedWith(http.StatusConflict)
}

func takenIsLeft(ctx context.Context, s *uaaSite, c client) error {
	other := c
	other.secret = s.newSecret()
	if _, err := s.create(ctx, other); err != nil {
		return err
	}
	return errors.Join(
		s.accepts(ctx, c, true, "the secret of the client that was there", c.secret),
		s.accepts(ctx, c, false, "the secret of the refused create", other.secret),
	)
}

func restrictedRefuses(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	c.authorities = []string{"clients.read"}
	a, err := s.create(ctx, c)
	if err != nil {
		return err
	}
	return a.refusedWith(http.StatusBadRequest)
}

func reads(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.isClient(c))
}

func readsMissing(ctx context.Context, s *uaaSite) error {
	return s.onMissing(ctx, http.MethodGet, path(clients, s.prefix+"-none"), nil)
}

func (s *uaaSite) onMissing(ctx context.Context, method, path string, body any) error {
	a, err := s.manage(ctx, method, path, body)
	if err != nil {
		return err
	}
	return a.missing()
}

func updates(ctx context.Context, s *uaaSite, c client) error {
	c.authorities, c.life = []string{s.prefix + ".write", s.prefix + ".list"}, 300
	a, err := s.update(ctx, c)
	if err != nil {
		return err
	}
	read, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.isClient(c), read.isClient(c))
}

func updateKeepsSecret(ctx context.Context, s *uaaSite, c client) error {
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	return s.accepts(ctx, c, true, "the secret, after an update", c.secret)
}

func updateKeepsBoth(ctx context.Context, s *uaaSite, c client, second string) error {
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	return errors.Join(
		s.accepts(ctx, c, true, "the older secret, after an update", c.secret),
		s.accepts(ctx, c, true, "the newer secret, after an update", second),
	)
}

func updateToNothing(ctx context.Context, s *uaaSite, c client) error {
	c.authorities = []string{"uaa.none"}
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	read, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	return read.isClient(c)
}

func narrowingEnds(ctx context.Context, s *uaaSite, c client, token string) error {
	if err := s.alive(ctx, true, "a token of a client that was just made", token); err != nil {
		return err
	}
	c.authorities = c.authorities[:1]
	if _, err := s.update(ctx, c); err != nil {
		return err
	}
	return s.alive(ctx, false, "a token with an authority that was taken away", token)
}

func updatesMissing(ctx context.Context, s *uaaSite) error {
	c := s.newClient()
	return s.onMissing(ctx, http.MethodPut, path(restricted, c.id), c.body())
}

func deletes(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.manage(ctx, http.MethodDelete, path(clients, c.id), nil)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.isClient(c))
}

func deletesMissing(ctx context.Context, s *uaaSite) error {
	return s.onMissing(ctx, http.MethodDelete, path(clients, s.prefix+"-none"), nil)
}

func deletedIsGone(ctx context.Context, s *uaaSite, c client, token string) error {
	if _, err := s.manage(ctx, http.MethodDelete, path(clients, c.id), nil); err != nil {
		return err
	}
	read, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	if read.status != http.StatusNotFound {
		return fmt.Errorf("after DELETE a read gives %s; expected 404", read)
	}
	return errors.Join(
		s.accepts(ctx, c, false, "the secret of a deleted client", c.secret),
		s.alive(ctx, false, "a token of a deleted client", token),
	)
}
