package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What both versions of Airflow's API are taken for by package airflow. The lists are in
// airflow_v1.go and airflow_v2.go.

func tellsVersion(ctx context.Context, s *airflowSite) error {
	a, err := s.version(ctx, s.api)
	if err != nil {
		return err
	}
	return a.isVersion(s.api)
}

// mayEdit finds out what our login may without changing anything: nothing is there under
// the id, and nothing can be posted under the other.
func mayEdit(ctx context.Context, s *airflowSite) error {
	none := path(s.api.connections, s.prefix+"-none")
	var lacks, seen []string
	for _, may := range []struct {
		what, method, path string
		body               any
	}{
		{"read", http.MethodGet, none, nil},
		{"create", http.MethodPost, s.api.connections, map[string]any{"connection_id": "no id of a connection", "conn_type": "http"}},
		{"edit", http.MethodPatch, none, map[string]any{"connection_id": s.prefix + "-none", "conn_type": "http"}},
		{"delete", http.MethodDelete, none, nil},
	} {
		a, err := s.call(ctx, may.method, may.path, may.body)
		var not unknowable
		switch {
		case errors.As(err, &not):
			lacks, seen = append(lacks, may.what), append(seen, a.String())
			if a.status == http.StatusUnauthorized || a.text("detail") == "Invalid JWT token" {
				return fmt.Errorf("the login is refused: %s", a)
			}
		case err != nil:
			return err
		}
	}
	switch {
	case len(lacks) == 4 && s.api == &apiV1:
		return fmt.Errorf("%s to everything: the login is wrong, or may not read, create, edit and delete connections, for which the role Op does; "+
			"Airflow 2 answers both alike", seen[0])
	case len(lacks) > 0:
		return fmt.Errorf("%s: the login may not %s connections: give it that permission, or the role Op", seen[0], strings.Join(lacks, ", "))
	}
	return nil
}

func posts(ctx context.Context, s *airflowSite) error {
	c := s.newConnection()
	a, err := s.post(ctx, c.body())
	if err != nil {
		return err
	}
	return errors.Join(a.be(s.api.created), a.is(c))
}

func showsWhatWasPosted(ctx context.Context, s *airflowSite, c connection) error {
	a, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), a.is(c))
}

func hidesPasswords(ctx context.Context, s *airflowSite) error {
	c := s.newConnection()
	posted, postErr := s.post(ctx, c.body())
	read, readErr := s.read(ctx, c.id)
	patched, patchErr := s.patch(ctx, c.id, s.api.mask("password"), c.body())
	listed, listErr := s.find(ctx, c.id)
	if err := errors.Join(postErr, readErr, patchErr, listErr); err != nil {
		return err
	}
	return errors.Join(posted.hides(c), read.hides(c), patched.hides(c), listed.hides(c))
}

func takesLongIDs(ctx context.Context, s *airflowSite) error {
	filler := "_" + strings.Repeat("x.9-_", 40)
	c := s.newConnectionCalled(filler[:199-len(fmt.Sprintf("%s-%d", s.prefix, s.number+1))] + "z")
	a, err := s.post(ctx, c.body())
	if err != nil {
		return err
	}
	if a.status/100 != 2 {
		return a.expected("2xx")
	}
	read, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	return errors.Join(read.be(http.StatusOK), read.is(c))
}

func takenID(ctx context.Context, s *airflowSite, c connection) error {
	a, err := s.post(ctx, c.body())
	if err != nil {
		return err
	}
	return a.says(http.StatusConflict)
}

func takenConnectionIsLeft(ctx context.Context, s *airflowSite, c connection) error {
	other := c
	other.description = "another"
	if _, err := s.post(ctx, other.body()); err != nil {
		return err
	}
	a, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	return a.is(c)
}

func missingRead(ctx context.Context, s *airflowSite) error {
	a, err := s.read(ctx, s.prefix+"-none")
	if err != nil {
		return err
	}
	return a.missingAs(s.api)
}

func missingPatched(ctx context.Context, s *airflowSite) error {
	c := s.newConnection()
	a, err := s.patch(ctx, c.id, s.api.mask(ours...), c.mended())
	if err != nil {
		return err
	}
	return a.missingAs(s.api)
}

func missingDeleted(ctx context.Context, s *airflowSite) error {
	a, err := s.delete(ctx, s.prefix+"-none")
	if err != nil {
		return err
	}
	return a.missingAs(s.api)
}

// mends puts an edited connection right. What the answer says and what is there then are
// two things: an answer may show what was sent.
func mends(ctx context.Context, s *airflowSite, c connection) error {
	a, err := s.patch(ctx, c.id, s.api.mask(ours...), c.mended())
	if err != nil {
		return err
	}
	read, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	return errors.Join(a.be(http.StatusOK), read.is(c))
}

func mendedIsAnswered(ctx context.Context, s *airflowSite, c connection) error {
	c.description = describe(c.id, 2)
	a, err := s.patch(ctx, c.id, s.api.mask(ours...), c.mended())
	if err != nil {
		return err
	}
	if got := a.text("description"); a.text("connection_id") != c.id || got != c.description {
		return fmt.Errorf("%s: the answer is not the connection with the description that was sent", a.call)
	}
	return nil
}

func extraStays(ctx context.Context, s *airflowSite, c connection) error {
	if _, err := s.patch(ctx, c.id, s.api.mask(ours...), c.mended()); err != nil {
		return err
	}
	a, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	if got := a.text("extra"); !strings.Contains(got, "kept") {
		return fmt.Errorf("extra is %s after a PATCH that does not name it; expected %s", s.say(got), s.say(extraSent))
	}
	return nil
}

// masked tries a form of the mask that the program does not use where it differs between
// versions.
func (s *airflowSite) masked(ctx context.Context, query, otherwise string) error {
	c, err := s.edited(ctx)
	if err != nil {
		return err
	}
	a, err := s.patch(ctx, c.id, query, c.mended())
	if err != nil {
		return err
	}
	read, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	if read.text("host") == tokenHost && read.text("login") == loginSent {
		return nil
	}
	return handled(fmt.Sprintf("%s, and not every field is written: %s", a, otherwise))
}

func deletesConnection(ctx context.Context, s *airflowSite, c connection) error {
	a, err := s.delete(ctx, c.id)
	if err != nil {
		return err
	}
	if err := a.be(http.StatusNoContent); err != nil {
		return err
	}
	read, err := s.read(ctx, c.id)
	if err != nil {
		return err
	}
	if read.status != http.StatusNotFound {
		return fmt.Errorf("after DELETE a read gives %s; expected 404", read)
	}
	return nil
}

// pages compares pages of one with a page of three. Others may edit connections meanwhile,
// so it has three tries.
func pages(ctx context.Context, s *airflowSite) error {
	for range 3 {
		if _, err := s.there(ctx); err != nil {
			return err
		}
	}
	var found error
	for range 3 {
		whole, rows, err := s.list(ctx, 3, 0)
		if err != nil {
			return err
		}
		var want, got []string
		for i, row := range rows {
			want = append(want, textOf(row["connection_id"]))
			_, one, err := s.list(ctx, 1, i)
			if err != nil {
				return err
			}
			for _, row := range one {
				got = append(got, textOf(row["connection_id"]))
			}
		}
		total, _ := whole.object()["total_entries"].(float64)
		if len(want) == 3 && slices.Equal(got, want) && total >= 3 {
			return nil
		}
		found = fmt.Errorf("%s: a page of three has %d, and pages of one from 0, 1 and 2 are not it; total_entries is %v", whole.call, len(want), total)
	}
	return found
}

func listsConnection(ctx context.Context, s *airflowSite, c connection) error {
	a, err := s.find(ctx, c.id)
	if err != nil {
		return err
	}
	return a.is(c)
}

func listsExtra(ctx context.Context, s *airflowSite, c connection) error {
	a, err := s.find(ctx, c.id)
	if err != nil {
		return err
	}
	switch got := a.object()["extra"].(type) {
	case string:
		if strings.Contains(got, "kept") {
			return nil
		}
		return fmt.Errorf("extra is %s; expected %s", s.say(got), s.say(extraSent))
	default:
		return handled("lists do not show it: a proxy or verify: false that is put there is not noticed")
	}
}

// refusesLogin tells how a login that is none is refused.
func (s *airflowSite) refusesLogin(ctx context.Context, authorization string) (answer, error) {
	header := http.Header{"Accept": {"application/json"}}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	return s.send(ctx, http.MethodGet, s.base+path(s.api.connections, s.prefix+"-none"), header, nil)
}

func tasksRead(context.Context, *airflowSite) error {
	return unknowable("a secrets backend, or a variable AIRFLOW_CONN_…, of the same id comes first for a task, and no API shows it")
}
