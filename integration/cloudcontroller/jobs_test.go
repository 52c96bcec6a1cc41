package cloudcontroller

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// leaps keeps how far the clock leapt each time.
func (p *platform) leaps() *[]time.Duration {
	var list []time.Duration
	p.leap.Leapt = func(_ context.Context, d time.Duration) error {
		list = append(list, d)
		return nil
	}
	return &list
}

func TestPolling(t *testing.T) {
	t.Parallel()
	retryAfter := func(text string) reply {
		return reply{200, `{"state":"in progress","description":"wait"}`, [2]string{"Retry-After", text}}
	}
	minutes := func(list ...float64) []time.Duration {
		var all []time.Duration
		for _, m := range list {
			all = append(all, time.Duration(m*float64(time.Minute)))
		}
		return all
	}
	done := reply{status: 200, body: `{"state":"succeeded"}`}
	cases := []struct {
		name    string
		maximum int
		version string
		polls   []reply // the last is said again and again
		leaps   []time.Duration
		shown   string
	}{
		{"at once", 0, "2.15", []reply{done}, nil, "create succeeded"},
		{"every minute", 0, "2.15", []reply{{status: 200, body: `{"state":"in progress"}`}, {status: 200, body: `{"state":"in progress"}`}, done}, minutes(1, 1), "create succeeded"},
		{"a shorter Retry-After is clamped", 0, "2.15", []reply{retryAfter("5"), done}, minutes(1), "create succeeded"},
		{"a longer one counts, and stays", 0, "2.15", []reply{retryAfter("90"), {status: 200, body: `{"state":"in progress"}`}, done}, minutes(1.5, 1.5), "create succeeded"},
		{"one of a week is cut to a day", 0, "2.15", []reply{retryAfter("604800"), done}, minutes(24 * 60), "create succeeded"},
		{"unknown before 2.15", 0, "2.14", []reply{retryAfter("90"), done}, minutes(1), "create succeeded"},
		{"one that is none", 0, "2.15", []reply{retryAfter("soon"), done}, minutes(1), "create succeeded"},
		{"the plan's limit", 150, "2.15", []reply{retryAfter("5")}, minutes(1, 1), "create failed"},
		{"the limit falls before the next poll", 59, "2.15", []reply{retryAfter("5"), done}, nil, "create failed"},
		{"failed", 0, "2.15", []reply{{status: 200, body: `{"state":"failed","description":"why"}`}}, nil, "create failed"},
		{"400 is failed", 0, "2.15", []reply{{status: 400, body: `{"description":"why"}`}}, nil, "create failed"},
		{"all else is asked again", 0, "2.15", []reply{
			{status: 404, body: `{}`}, {status: 401}, {status: 500}, {status: 410, body: `{}`}, {status: 200, body: `{"state":"well"}`}, {status: 200, body: `<html>`}, {status: 202, body: `{}`}, {status: cut}, done,
		}, minutes(1, 1, 1, 1, 1, 1, 1, 1), "create succeeded"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			s.catalog = fmt.Sprintf(`{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"bindings_retrievable":true,
				"plans":[{"id":"p1","name":"small","description":"d","maximum_polling_duration":%d}]}]}`, c.maximum)
			say := func(n int) reply { return c.polls[min(n, len(c.polls))-1] }
			s.each(CallLastOperation, say)
			s.each(CallLastBindingOperation, say)
			s.on(CallProvision, 202, `{"operation":"op-1"}`)
			s.on(CallBind, 202, `{"operation":"op-2"}`)

			p := s.platform(t, func(c_ *Config) { c_.APIVersion = c.version })
			leaps := p.leaps()
			_ = p.create("i")
			p.work()
			if got := p.shown("i"); got != c.shown || !slices.Equal(*leaps, c.leaps) {
				t.Errorf("an instance: %q after leaps of %s, want %q after %s", got, *leaps, c.shown, c.leaps)
			}
			i, _ := p.Service("i")
			if last := p.Exchanges()[len(p.Exchanges())-1]; i.LastOperation.Polls > 0 && last.Call == CallLastOperation && last.Request.URL.Query().Get("operation") != "op-1" {
				t.Errorf("the operation is not said back: %s", last.Request.URL)
			}
			if c.shown != "create succeeded" {
				return
			}
			*leaps = nil
			_ = p.BindService(t.Context(), "app", "i", Bind{})
			p.work()
			b := p.Bindings("app", "i")[0]
			if b.LastOperation.String() != c.shown || !slices.Equal(*leaps, c.leaps) || p.VCAPServices("app")["i"]["fetched"] != true {
				t.Errorf("a binding: %q with %v after leaps of %s", b.LastOperation, b.Credentials, *leaps)
			}
		})
	}
}

// TestPollingEnds: a create that takes too long is mitigated; one that the broker
// calls failed is not, until its name is used again.
func TestPollingEnds(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	s := newStub(t)
	s.on(CallProvision, 202, `{}`)
	s.on(CallLastOperation, 200, `{"state":"in progress"}`)
	p := s.platform(t)
	p.ok(p.create("i"))
	p.work()
	if got := p.shown("i"); got != "create failed" || p.Mitigations() != 1 || s.asked(CallDeprovision) != 1 {
		t.Errorf("too late: %q, %d mitigations", got, p.Mitigations())
	}
	if got := s.asked(CallLastOperation); got != 11 { // at 0, 1, … 10 minutes
		t.Errorf("polls within ten minutes: got %d, want 11", got)
	}

	s = newStub(t)
	s.on(CallBind, 202, `{}`)
	s.on(CallLastBindingOperation, 200, `{"state":"failed","description":"why"}`)
	p = s.platform(t)
	p.ok(p.create("i"))
	if got := kindOf(p.BindService(ctx, "app", "i", Bind{})); got != OperationFailed {
		t.Errorf("failed at once: got %s", got)
	}
	p.work()
	if p.Mitigations() != 0 || s.asked(CallUnbind) != 0 {
		t.Error("a create that failed was mitigated at once")
	}
	s.on(CallBind, 201, `{}`)
	p.ok(p.BindService(ctx, "app", "i", Bind{}))
	p.work()
	if got := p.Bindings("app", "i"); p.Mitigations() != 1 || s.asked(CallUnbind) != 1 || len(got) != 1 {
		t.Errorf("bound again: %d mitigations, %d bindings", p.Mitigations(), len(got))
	}

	// A week, where the plan says nothing.
	s = newStub(t)
	s.on(CallProvision, 202, `{}`)
	s.on(CallLastOperation, 200, `{"state":"in progress"}`)
	p = s.platform(t)
	before := p.leap.Now()
	p.ok(p.CreateService(ctx, "svc", "large", "i", nil))
	for p.shown("i") == "create in progress" {
		if _, err := p.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if took := p.leap.Now().Sub(before); took != LongestPolling {
		t.Errorf("polled for %s, want %s", took, LongestPolling)
	}
}

// TestPolledDeletes: 410 is their success, and so a broker may forget.
func TestPolledDeletes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	p := s.platform(t)
	p.ok(p.create("i"))
	p.ok(p.BindService(ctx, "app", "i", Bind{}))
	s.on(CallUnbind, 202, `{"operation":"u"}`)
	s.on(CallDeprovision, 202, `{"operation":"d"}`)
	wait := func(n int) reply {
		if n == 1 {
			return reply{status: 200, body: `{"state":"in progress"}`}
		}
		return reply{status: 410, body: `{}`}
	}
	s.each(CallLastBindingOperation, wait)
	s.each(CallLastOperation, wait)

	if got := kindOf(p.DeleteService(ctx, "i")); got != Refused || s.asked(CallDeprovision) != 0 {
		t.Errorf("with an unbind that goes on: %s, %d deprovisions; want a refusal and none", got, s.asked(CallDeprovision))
	}
	p.work()
	if len(p.Bindings("app", "i")) != 0 || p.shown("i") != "delete failed" {
		t.Errorf("then: %d bindings, %q", len(p.Bindings("app", "i")), p.shown("i"))
	}
	p.ok(p.DeleteService(ctx, "i"))
	if p.shown("i") != "delete in progress" {
		t.Errorf("repeated: %q", p.shown("i"))
	}
	p.work()
	if p.shown("i") != "" {
		t.Errorf("in the end: %q", p.shown("i"))
	}
}

// TestAsyncWithoutFetch: who cannot be asked for credentials must not take time.
func TestAsyncWithoutFetch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	s.catalog = `{"services":[{"id":"s","name":"svc","description":"d","bindable":true,"plans":[{"id":"p1","name":"small","description":"d"}]}]}`
	s.on(CallBind, 202, `{}`)
	p := s.platform(t)
	p.ok(p.create("i"))
	if got := kindOf(p.BindService(ctx, "app", "i", Bind{})); got != OperationFailed || s.asked(CallLastBindingOperation) != 0 {
		t.Errorf("got %s and %d polls, want a failure and none", got, s.asked(CallLastBindingOperation))
	}
	s.catalog = plainCatalog
	p.ok(p.UpdateServiceBroker(ctx))
	s.on(CallFetchBinding, 404, `{}`)
	_ = p.BindService(ctx, "other", "i", Bind{})
	if got := p.Bindings("other", "i")[0].LastOperation; got.String() != "create failed" {
		t.Errorf("credentials that cannot be read: %q, want create failed", got)
	}
}

// TestMitigation: eleven deletes over two days, by nobody, and a 202 is the end.
func TestMitigation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		answers []reply
		deletes int
		took    time.Duration
		orphans int
	}{
		{"at once", []reply{{status: 200, body: `{}`}}, 1, 0, 0},
		{"gone already", []reply{{status: 410}}, 1, 0, 0},
		{"a 202 is never polled", []reply{{status: 202, body: `{"operation":"x"}`}}, 1, 0, 0},
		{"repeated", []reply{{status: 500}, {status: cut}, {status: 422, body: `{"error":"ConcurrencyError"}`}, {status: 200, body: `{}`}}, 4, 14 * time.Minute, 0},
		{"given up", []reply{{status: 404, body: `{}`}}, MitigationAttempts, 2046 * time.Minute, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			p := s.platform(t)
			s.on(CallProvision, 500, `{}`)
			s.each(CallDeprovision, func(n int) reply { return c.answers[min(n, len(c.answers))-1] })
			before := p.leap.Now()
			_ = p.create("i")
			p.work()
			if got := s.asked(CallDeprovision); got != c.deletes || p.Orphans() != c.orphans {
				t.Errorf("%d deletes and %d orphans, want %d and %d", got, p.Orphans(), c.deletes, c.orphans)
			}
			if took := p.leap.Now().Sub(before); took != c.took {
				t.Errorf("took %s, want %s", took, c.took)
			}
			if s.asked(CallLastOperation) != 0 {
				t.Error("a mitigation was polled")
			}
		})
	}
}
