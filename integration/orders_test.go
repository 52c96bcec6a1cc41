package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"airflow-identity/catalog"
	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/uaa"
	"airflow-identity/store"
)

// asks gives an order to rotate.
func (o *operator) asks(s store.Selection, leaked bool) store.Rotated {
	o.t.Helper()
	rotated, err := o.orders.Rotate(o.t.Context(), o.order(), s, leaked)
	if err != nil {
		o.t.Fatal(err)
	}
	return rotated
}

// progress tells how those stand that are waited for.
func (o *operator) progress(s store.Selection, apps ...identity.ID) store.Groups {
	o.t.Helper()
	groups, err := o.orders.Progress(context.Background(), s, apps, o.now())
	if err != nil {
		o.t.Fatal(err)
	}
	return groups
}

func (o *operator) done(s store.Selection, apps ...identity.ID) {
	o.t.Helper()
	o.awaits("the order is carried out", func() bool { return len(o.progress(s, apps...)) == 0 })
}

// TestRotateSelections: one, an instance, a plan, all; and whoever asks again joins.
func TestRotateSelections(t *testing.T) {
	t.Parallel()
	longer := patient
	longer.dev, longer.rotation = true, catalog.Rotation{Period: 24 * time.Hour, Minimum: 2 * time.Hour, Soak: time.Hour}
	o := newWorld(t, longer).operator()
	p := o.broker()
	all := o.bound(p.platform, 2)
	want(t, p.provision("i2", nil), http.StatusCreated, "provision")
	a := p.bind("i2", "c1", "app-1", nil)
	want(t, a, http.StatusCreated, "bind")
	all = append(all, o.standing("c1", a))
	body := p.provisionBody(nil)
	body["plan_id"] = devPlan
	want(t, p.send(http.MethodPut, "/v2/service_instances/i3", body), http.StatusCreated, "provision in dev")
	bind := p.bindBody("app-1", nil)
	bind["plan_id"] = devPlan
	a = p.send(http.MethodPut, bindingPath("i3", "d1"), bind)
	want(t, a, http.StatusCreated, "bind in dev")
	dev := o.standing("d1", a)
	all = append(all, dev)

	generations := []int{1, 1, 1, 1}
	for _, step := range []struct {
		selection store.Selection
		of        []int
	}{
		{store.Selection{Identity: all[0].id}, []int{0}},
		{store.Selection{Instance: "i1"}, []int{0, 1}},
		{store.Selection{Plan: prodPlan}, []int{0, 1, 2}},
		{store.Selection{}, []int{0, 1, 2, 3}},
	} {
		if err := o.orders.Pause(t.Context(), o.order(), store.Freeze{Kind: store.FreezeEnvironment, Key: "prod"}); err != nil {
			t.Fatal(err)
		}
		if got := o.asks(step.selection, false); got.Asked != len(step.of) || got.Joined != 0 || len(got.Left) != 0 {
			t.Errorf("%+v: got %+v, want %d asked", step.selection, got, len(step.of))
		}
		o.rests()
		paused := o.progress(step.selection)
		again := o.asks(step.selection, false)
		frozen := len(step.of)
		if step.selection == (store.Selection{}) {
			dev.published(2) // dev is not frozen
			frozen--
		}
		if paused.Count(store.IsPaused) < frozen || again.Joined < frozen || again.Total() != len(step.of) {
			t.Errorf("%+v: while it is frozen: %+v; asked again: %+v", step.selection, paused, again)
		}
		o.rests() // or the row that was asked again is looked at, and not counted as due
		if lifted, due, err := o.orders.Resume(t.Context(), o.order(), store.Freeze{Kind: store.FreezeEnvironment, Key: "prod"}); err != nil || !lifted || due < frozen {
			t.Errorf("resume: lifted %t, %d due, %v; want %d", lifted, due, err, frozen)
		}
		o.done(store.Selection{Environment: "prod"})
		for _, i := range step.of {
			generations[i]++
		}
		for i, s := range all[:3] {
			s.published(generations[i])
		}
		for _, s := range all[:3] {
			s.retires()
		}
	}
	// Whoever asked again in dev, where nothing is frozen, waits for the end of a soak.
	o.leapTo(dev.row().RetireAt)
	o.done(store.Selection{})
	o.rests()
	o.check()
	for _, instance := range []string{"i1", "i2"} {
		want(t, p.deprovision(instance), http.StatusOK, "deprovision")
	}
	want(t, p.send(http.MethodDelete, "/v2/service_instances/i3?service_id="+offeringID+"&plan_id="+devPlan, nil), http.StatusOK, "deprovision in dev")
	o.check()
	o.nothingLeft()
}

// tokenOf takes a token as a task does.
func (o *operator) tokenOf(client, secret string) string {
	o.t.Helper()
	var granted struct {
		Token string `json:"access_token"`
	}
	if status := o.post("/oauth/token", client, secret, url.Values{"grant_type": {"client_credentials"}}, &granted); status != http.StatusOK {
		o.t.Errorf("a token of %s: UAA answers %d", client, status)
	}
	o.leaks.secret(granted.Token)
	return granted.Token
}

// tokenGood asks UAA as a resource server does.
func (o *operator) tokenGood(token string) bool {
	o.t.Helper()
	return o.post("/check_token", "airflow-identity", uaaSecret, url.Values{"token": {token}}, &struct{}{}) == http.StatusOK
}

func (o *operator) post(path, user, password string, form url.Values, into any) int {
	o.t.Helper()
	request, err := http.NewRequest(http.MethodPost, o.prod().uaa.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(user, password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		o.t.Error(err)
		return 0
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		o.t.Error(err)
	}
	return response.StatusCode
}

// TestLeakedSecret: wherever the rotation stands, the secret that Airflow has goes
// without a soak, and with it every token that was taken with it.
func TestLeakedSecret(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// reach brings the rotation there; over ends what holds it.
		reach func(o *operator, s *standing) (over func())
		// adds is how many secrets are added from then on, at least: where Airflow may
		// have got the newer one already it may have leaked too.
		adds int
	}{
		{"single", func(*operator, *standing) func() { return func() {} }, 1},
		{"in its soak", func(_ *operator, s *standing) func() { s.rotates(); return func() {} }, 1},
		{"while it is added", func(o *operator, s *standing) func() {
			hits, over := refusing(o.prod().uaa.Faults, "POST /oauth/token", func(r *http.Request, body []byte) bool {
				return ofAnIdentity(r, body) && strings.Contains(string(body), "client_secret=") // a probe, not a task
			})
			o.leapTo(s.row().RotateAt)
			o.awaits("the verify is refused", func() bool { return hits() > 0 })
			return over
		}, 0},
		{"before its publish", func(o *operator, s *standing) func() {
			hits, over := refusing(o.prod().airflow.Faults, "PATCH /api/v2/connections/", nil)
			o.leapTo(s.row().RotateAt)
			o.awaits("the publish is refused", func() bool { return hits() > 0 })
			return over
		}, 0},
		{"while it is paused", func(o *operator, s *standing) func() {
			if err := o.orders.Pause(o.t.Context(), o.order(), store.Freeze{Kind: store.FreezeInstance, Key: "i1"}); err != nil {
				o.t.Fatal(err)
			}
			o.leapTo(s.row().RotateAt)
			return func() {}
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newWorld(t, patient).operator()
			p := o.broker()
			s := o.bound(p.platform, 1)[0]
			over := c.reach(o, s)
			leaked, added := s.registered().Password, o.prod().uaa.SecretChanges()[s.client][uaa.ModeAdd]
			tokens := []string{o.tokenOf(s.client, leaked)}
			// The thief goes on for as long as he can.
			late := make(chan string, 1)
			o.prod().uaa.Faults.Add(standin.Fault{Call: "PUT /oauth/clients/", Match: uaa.ChangesSecret(uaa.ModeDelete), Kind: standin.Notice, Before: func() {
				late <- o.tokenOf(s.client, leaked)
			}})
			if c.name == "in its soak" {
				// The older one goes first; it is the newer one that has leaked.
				o.prod().uaa.Faults.Add(standin.Fault{Call: "PUT /oauth/clients/", Match: uaa.ChangesSecret(uaa.ModeAdd), Kind: standin.Notice, Before: func() {
					if !s.accepted() {
						t.Error("Airflow's secret is refused before there is another")
					}
				}})
			}
			if got := o.asks(store.Selection{Identity: s.id}, true); got.Asked != 1 || len(got.Left) != 0 {
				t.Errorf("rotate --now: %+v", got)
			}
			over()
			o.done(store.Selection{Identity: s.id})
			o.rests()
			tokens = append(tokens, <-late)
			for i, token := range tokens {
				if o.tokenGood(token) {
					t.Errorf("token %d that was taken with the leaked secret is good", i)
				}
			}
			if o.prod().uaa.Accepts(s.client, leaked) || s.registered().Password == leaked {
				t.Error("the leaked secret is accepted")
			}
			if !o.tokenGood(o.tokenOf(s.client, s.registered().Password)) {
				t.Error("a token of now is refused")
			}
			if got := o.prod().uaa.SecretChanges()[s.client][uaa.ModeAdd] - added; got < c.adds || got > 1 {
				t.Errorf("%d secrets were added since, want %d or at most 1", got, c.adds)
			}
			if i := s.row(); i.Urgent || i.RotateAbove != 0 || i.Overlap != identity.Single || o.prod().uaa.Revocations()[s.client] != 1 {
				t.Errorf("in the end: urgent %t, above %d, %s, tokens revoked %d times", i.Urgent, i.RotateAbove, i.Overlap, o.prod().uaa.Revocations()[s.client])
			}
			o.check()
			o.unbindAll(p.platform, s)
		})
	}
}

// TestLeakedAndHeld: nothing is rotated before a restore is accepted.
func TestLeakedAndHeld(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	restore := o.backup()
	s.rotates()
	o.rests()
	p.stop()
	restore()
	p = o.broker()
	o.sweeps()
	before := o.mutations()
	if got := o.asks(store.Selection{}, true); got.Total() != 0 || got.Left.Count(store.IsHeld) != 1 {
		t.Errorf("rotate --now: %+v, want it left as held", got)
	}
	o.rests()
	if now := o.mutations(); now != before {
		t.Errorf("what was\n%s\nis\n%s", before, now)
	}
	o.accepts()
	s.published(3)
	leaked := s.registered().Password
	if got := o.asks(store.Selection{}, true); got.Asked != 1 {
		t.Errorf("rotate --now: %+v", got)
	}
	o.done(store.Selection{})
	o.rests()
	if o.prod().uaa.Accepts(s.client, leaked) {
		t.Error("the leaked secret is accepted")
	}
	o.check()
	o.unbindAll(p.platform, s)
}

// TestLeakedAndRevoked: an app's client cannot be rotated, so it goes. What is bound
// to what was revoked says so, can be unbound, and nobody joins it.
func TestLeakedAndRevoked(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	made := p.bind("i1", "app", "app-9", object{"airflow": false, "app_client": true})
	want(t, made, http.StatusCreated, "a bind with a client of its own")
	credentials, _ := made.body["credentials"].(map[string]any)
	client, _ := credentials["client_id"].(string)
	secret, _ := credentials["client_secret"].(string)
	app := identity.ID(strings.TrimPrefix(client, "afi-"))
	token := o.tokenOf(client, secret)
	got := o.asks(store.Selection{Identity: app}, true)
	if len(got.Apps) != 1 || got.Asked != 0 {
		t.Errorf("rotate --now of an app's client: %+v", got)
	}
	o.done(store.Selection{Identity: app}, got.Apps...)
	o.rests()
	if _, there := o.prod().uaa.Client(client); there || o.tokenGood(token) {
		t.Errorf("the client is there: %t, its token is good: %t", there, o.tokenGood(token))
	}
	taken := s.registered()
	token = o.tokenOf(s.client, taken.Password)
	if revoked, err := o.orders.Revoke(t.Context(), o.order(), s.id); err != nil || !revoked {
		t.Errorf("revoke: %t %v", revoked, err)
	}
	o.awaits("it is gone", func() bool {
		_, there := o.prod().airflow.Connection(s.connection)
		return !there && !o.prod().uaa.Accepts(s.client, taken.Password) && !o.tokenGood(token)
	})
	o.rests()
	for _, binding := range []string{"app", s.binding} {
		a := p.get("i1", binding)
		want(t, a, http.StatusOK, "get")
		credentials, _ := a.body["credentials"].(map[string]any)
		if credentials["revoked"] != true || credentials["client_secret"] != nil {
			t.Errorf("the credentials of %s: %s", binding, a.text)
		}
	}
	o.advance(24 * time.Hour)
	o.sweeps()
	if a := p.bind("i1", "join", "app-0", nil); a.status != http.StatusBadRequest || a.word() != "ConnectionTaken" {
		t.Errorf("a join: got %d %s, want 400 ConnectionTaken", a.status, a.text)
		p.unbind("i1", "join")
	}
	want(t, p.bind("i1", "other", "app-0", object{"connection_id": "orders_other"}), http.StatusCreated, "a bind under another name")
	want(t, p.unbind("i1", "other"), http.StatusOK, "unbind")
	for _, binding := range []string{"app", s.binding} {
		want(t, p.unbind("i1", binding), http.StatusOK, "unbind")
	}
	again := p.bind("i1", "again", "app-0", nil)
	want(t, again, http.StatusCreated, "a bind once it is unbound")
	o.check()
	o.unbindAll(p.platform, o.standing("again", again))
}

// TestForgetADebt: Airflow is gone for good.
func TestForgetADebt(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	_, back := refusing(o.prod().airflow.Faults, "", nil)
	want(t, p.unbind("i1", s.binding), http.StatusOK, "unbind")
	if state := s.state(); !strings.HasPrefix(state, "debt since") {
		t.Errorf("state: %q", state)
	}
	forgotten, err := o.orders.Forget(t.Context(), o.order(), store.Selection{Environment: "prod"}, "its Airflow was torn down")
	if err != nil || len(forgotten) != 1 {
		t.Errorf("forget: %+v %v", forgotten, err)
	}
	o.awaits("it is written off", func() bool { return s.row().CleanAt != nil })
	back()
	o.prod().airflow.RemoveConnection(s.connection) // it is another Airflow
	o.rests()
	again := p.bind("i1", "again", "app-0", nil)
	want(t, again, http.StatusCreated, "bind again")
	if got := connectionOf(again); got != s.connection {
		t.Errorf("binding again: connection %q, want %q", got, s.connection)
	}
	o.check()
	o.unbindAll(p.platform, o.standing("again", again))
}

// TestForgetAClient: UAA is gone for good.
func TestForgetAClient(t *testing.T) {
	t.Parallel()
	o := newWorld(t, options{budget: 2 * time.Second, timeout: time.Second}).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	_, back := refusing(o.prod().uaa.Faults, "", nil)
	if a := p.unbind("i1", s.binding); a.status != http.StatusAccepted {
		t.Errorf("unbind: got %d %s, want 202, since its client is there", a.status, a.text)
	}
	forgotten, err := o.orders.Forget(t.Context(), o.order(), store.Selection{Identity: s.id}, "its UAA was torn down")
	if err != nil || len(forgotten) != 1 || forgotten[0].ID != s.id {
		t.Errorf("forget: %+v %v", forgotten, err)
	}
	o.awaits("it is written off", func() bool { return s.row().CleanAt != nil })
	o.rests()
	want(t, p.unbind("i1", s.binding), http.StatusGone, "unbind again")
	back()
	o.prod().uaa.RemoveClient(s.client) // it is another UAA
	o.check()
	o.nothingLeft()
}

// TestPause: while a freeze covers it no rotation starts and no old secret goes.
func TestPause(t *testing.T) {
	t.Parallel()
	for _, freeze := range []store.Freeze{{Kind: store.FreezeEnvironment, Key: "prod"}, {Kind: store.FreezePlan, Key: prodPlan}, {Kind: store.FreezeInstance, Key: "i1"}} {
		for _, ends := range []bool{false, true} {
			if ends && freeze.Kind != store.FreezePlan {
				continue
			}
			t.Run(fmt.Sprintf("%s, with an end %t", freeze.Kind, ends), func(t *testing.T) {
				t.Parallel()
				freeze := freeze
				o := newWorld(t, patient).operator()
				p := o.broker()
				all := o.bound(p.platform, 2)
				o.asks(store.Selection{Identity: all[1].id}, false)
				all[1].published(2)
				o.rests()
				if ends {
					until := o.now().Add(20 * time.Hour)
					freeze.Until = &until
				}
				before := o.mutations()
				if err := o.orders.Pause(t.Context(), o.order(), freeze); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					o.advance(9 * time.Hour)
					o.sweeps()
				}
				if now := o.mutations(); now != before {
					t.Errorf("paused, what was\n%s\nis\n%s", before, now)
				}
				if all[1].row().Overlap != identity.Present || !all[0].accepted() || !all[1].accepted() {
					t.Errorf("paused in a soak: %s", all[1].row().Overlap)
				}
				if ends {
					o.leapTo(freeze.Until)
				} else if lifted, due, err := o.orders.Resume(t.Context(), o.order(), freeze); err != nil || !lifted || due != 2 {
					t.Errorf("resume: lifted %t, %d due, %v; want both", lifted, due, err)
				}
				all[0].published(2)
				all[1].published(3)
				for _, s := range all {
					s.retires()
				}
				o.check()
				o.unbindAll(p.platform, all...)
			})
		}
	}
}

// TestAnotherPeriod moves the next rotation, and no soak that has begun.
func TestAnotherPeriod(t *testing.T) {
	t.Parallel()
	o := newWorld(t, patient).operator()
	p := o.broker()
	s := o.bound(p.platform, 1)[0]
	s.rotates()
	o.rests()
	before := s.row()
	want(t, p.update("i1", object{"parameters": object{"rotation_period": "1h"}}), http.StatusOK, "update")
	o.rests()
	i := s.row()
	if i.Period != time.Hour || i.Soak != 30*time.Minute || !i.RetireAt.Equal(*before.RetireAt) {
		t.Errorf("period %s, soak %s, the older one goes at %s; want 1h, 30m, %s", i.Period, i.Soak, i.RetireAt, before.RetireAt)
	}
	if earliest, latest := i.PublishedAt.Add(30*time.Minute), i.PublishedAt.Add(time.Hour); i.RotateAt.Before(earliest) || i.RotateAt.After(latest) {
		t.Errorf("the next rotation is at %s, want it between %s and %s", i.RotateAt, earliest, latest)
	}
	// Its time comes before the soak is over, and waits.
	o.leapTo(i.RotateAt)
	o.sweeps()
	if got := s.changes(); got != "add 1, reset 0, drop 0" {
		t.Errorf("in the former soak: %s", got)
	}
	o.leapTo(i.RetireAt)
	s.published(3)
	if i := s.row(); i.RetireAt.Sub(*i.PublishedAt) != 30*time.Minute+o.options.timeout {
		t.Errorf("the new soak takes %s", i.RetireAt.Sub(*i.PublishedAt))
	}
	s.retires()
	o.check()
	o.unbindAll(p.platform, s)
}
