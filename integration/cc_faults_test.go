package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"airflow-identity/integration/cloudcontroller"
	"airflow-identity/integration/standin"
)

// shortBudget makes a bind answer with 202 as soon as something is down.
const shortBudget = time.Second

func (e *environment) uaaDown() (back func()) {
	e.uaa.Faults.Add(standin.Fault{Kind: standin.Answer, Status: http.StatusServiceUnavailable, Times: 1 << 30})
	return e.uaa.Faults.Clear
}

// clients counts the identities that UAA holds.
func (e *environment) clients() int {
	n := 0
	for _, id := range e.uaa.ClientIDs() {
		if strings.HasPrefix(id, "afi-") {
			n++
		}
	}
	return n
}

func (w *world) debts() int {
	w.t.Helper()
	var n int
	if err := w.pool.QueryRow(context.Background(), `SELECT count(*) FROM connection WHERE debt_since IS NOT NULL`).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// orders is a Cloud Controller with a service instance "orders".
func (w *world) orders(base string, adapt ...func(*cloudcontroller.Config)) *cf {
	w.t.Helper()
	u := w.cloudFoundry(base, adapt...)
	u.ok(u.CreateService(w.t.Context(), offeringName, "prod", "orders", nil), "cf create-service")
	return u
}

// TestCloudFoundryAirflowDownAtBind: each way in which a bind can meet an Airflow
// that is down, and nothing is ever left over.
func TestCloudFoundryAirflowDownAtBind(t *testing.T) {
	t.Parallel()

	t.Run("a platform that cannot poll: refused, and all is gone", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		w := newWorld(t, options{budget: shortBudget})
		u := w.orders(w.broker().base, speaking("2.13"))
		back := w.prod().airflowDown()
		failure := u.fails(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), cloudcontroller.BadResponse, "cf bind-service")
		if failure.Status != http.StatusServiceUnavailable || !strings.Contains(failure.Message, "request id") {
			t.Errorf("the refusal: %d %s, want 503 with a request id", failure.Status, failure.Message)
		}
		u.work()
		w.idle()
		u.mitigated(1)
		if n := w.prod().clients(); n != 0 {
			t.Errorf("with Airflow still down %d clients are left in UAA", n)
		}
		back()
		u.agrees()
		w.nothingLeft()
		u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service once more")
		u.work()
		u.agrees()
	})

	t.Run("known to be down: refused before anything is written", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		w := newWorld(t, options{budget: shortBudget, breaker: true})
		u := w.orders(w.broker().base)
		back := w.prod().airflowDown()
		refused := func() bool {
			err := u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{})
			return err != nil && strings.Contains(err.Error(), "nothing was changed")
		}
		// Whoever comes first finds out. Their binds fail, or are deleted by the user.
		for range 10 {
			if refused() {
				break
			}
			u.ok(u.UnbindService(ctx, "etl", "orders"), "cf unbind-service")
		}
		list := u.Bindings("etl", "orders")
		if len(list) != 1 || list[0].LastOperation.String() != "create failed" {
			t.Fatalf("with Airflow known to be down: got %d bindings, want one that failed", len(list))
		}
		var rows int
		if err := w.pool.QueryRow(ctx, `SELECT count(*) FROM binding WHERE guid = $1`, list[0].GUID).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("rows of the refused bind: got %d %v, want none", rows, err)
		}
		u.work()
		back()
		u.agrees()
		w.nothingLeft()
	})

	t.Run("cf push: refused, and all is gone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{budget: shortBudget})
		u := w.orders(w.broker().base)
		back := w.prod().airflowDown()
		u.fails(u.Push(t.Context(), "etl", "orders"), cloudcontroller.BadResponse, "cf push")
		u.work()
		back()
		u.agrees()
		w.nothingLeft()
	})

	for _, version := range []string{"2.14", "2.15", "2.16", "2.17"} {
		t.Run("202, and finished once it is back/"+version, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newWorld(t, options{budget: shortBudget, polling: 10 * time.Minute})
			// Two brokers: who is polled is not who said 202.
			u := w.orders(w.between(w.broker().base, w.broker().base).url, speaking(version))
			back := w.prod().airflowDown()
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
			u.ok(u.CreateServiceKey(ctx, "orders", "ci", nil), "cf create-service-key")
			if got := u.binding("etl", "orders"); got.LastOperation.String() != "create in progress" || got.Credentials != nil {
				t.Fatalf("cf service orders: got %q, want a create in progress without credentials", got.LastOperation)
			}
			for range 2 {
				if _, err := u.Step(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if got := u.binding("etl", "orders").LastOperation; got.String() != "create in progress" || got.Description == "" {
				t.Errorf("after a minute: got %q %q, want a create in progress that says something", got, got.Description)
			}
			// What is being made is in the way of an update; nothing is changed.
			u.fails(u.UpdateService(ctx, "orders", "", object{"authorities": []string{"orders.read"}}), cloudcontroller.RequestRejected, "cf update-service in the meantime")
			back()
			u.work()
			if got := u.binding("etl", "orders").LastOperation; got.String() != "create succeeded" {
				t.Errorf("with Airflow back: got %q %q, want create succeeded", got, got.Description)
			}
			if id := u.connection("etl", "orders"); id == "" {
				t.Error("VCAP_SERVICES has no connection")
			}
			if _, err := u.ServiceKey("orders", "ci"); err != nil {
				t.Errorf("cf service-key: %v", err)
			}
			u.mitigated(0)
			u.agrees()
			u.ok(u.DeleteService(ctx, "orders"), "cf delete-service")
			u.agrees()
			w.nothingLeft()
		})
	}

	t.Run("202, and failed and gone if it stays away", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		w := newWorld(t, options{budget: shortBudget, polling: 3 * time.Minute})
		u := w.orders(w.broker().base)
		back := w.prod().airflowDown()
		u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
		u.work()
		if got := u.binding("etl", "orders").LastOperation; got.String() != "create failed" || got.Description == "" {
			t.Errorf("after the plan's limit: got %q %q, want create failed with a reason", got, got.Description)
		}
		u.mitigated(0) // the broker said so itself, and Cloud Controller does nothing more
		w.idle()
		if n := w.prod().clients(); n != 0 {
			t.Errorf("with Airflow still down %d clients are left in UAA", n)
		}
		if u.VCAPServices("etl")["orders"] != nil {
			t.Error("an app is given the credentials of a bind that failed")
		}
		back()
		u.agrees()
		w.nothingLeft()

		// Cloud Controller cleans up when the app is bound again.
		u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service once more")
		u.work()
		u.agrees()
		if id := u.connection("etl", "orders"); id != "acme_orders" {
			t.Errorf("the connection: got %q, want acme_orders: a failed create reserves nothing", id)
		}
	})

	t.Run("deleted while it is being made", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		w := newWorld(t, options{budget: shortBudget, polling: 10 * time.Minute})
		u := w.orders(w.broker().base)
		back := w.prod().airflowDown()
		u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
		err := u.DeleteService(ctx, "orders")
		if err != nil { // 202: Cloud Controller wants it said again
			u.work()
			u.ok(u.DeleteService(ctx, "orders"), "cf delete-service, repeated")
		}
		if _, found := u.Service("orders"); found {
			t.Error("cf services still lists orders")
		}
		if n := w.prod().clients(); n != 0 {
			t.Errorf("%d clients are left in UAA", n)
		}
		u.work()
		back()
		u.agrees()
		w.nothingLeft()
	})
}

// TestCloudFoundryAirflowGoneForGood: everything can be unbound and deleted, and
// what could not be removed is a debt.
func TestCloudFoundryAirflowGoneForGood(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.13", "2.15", "2.17"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newWorld(t, options{})
			u := w.orders(w.broker().base, speaking(version))
			for _, app := range []string{"etl", "report"} {
				u.ok(u.BindService(ctx, app, "orders", cloudcontroller.Bind{}), "cf bind-service")
			}
			u.ok(u.CreateServiceKey(ctx, "orders", "ci", nil), "cf create-service-key")
			back := w.prod().airflowDown()

			u.ok(u.UnbindService(ctx, "etl", "orders"), "cf unbind-service")
			if list := u.Bindings("etl", "orders"); len(list) != 0 {
				t.Errorf("cf unbind-service: got %q, want no binding left", list[0].LastOperation)
			}
			u.ok(u.DeleteService(ctx, "orders"), "cf delete-service")
			if _, found := u.Service("orders"); found {
				t.Error("cf services still lists orders")
			}
			if n := w.prod().clients(); n != 0 {
				t.Errorf("%d clients outlived their Airflow", n)
			}
			if n := w.debts(); n != 3 {
				t.Errorf("debts: got %d, want 3", n)
			}
			back()
			u.agrees()
			w.nothingLeft()
		})
	}
}

// TestCloudFoundryUAADown: a removal and an update cannot do without UAA. They go
// on, and Cloud Controller sees how.
func TestCloudFoundryUAADown(t *testing.T) {
	t.Parallel()

	t.Run("unbind and delete", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		w := newWorld(t, options{budget: shortBudget, polling: 10 * time.Minute})
		u := w.orders(w.broker().base)
		u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
		back := w.prod().uaaDown()
		u.fails(u.DeleteService(ctx, "orders"), cloudcontroller.Refused, "cf delete-service")
		u.shows("orders", "delete failed")
		if got := u.binding("etl", "orders").LastOperation; got.String() != "delete in progress" {
			t.Errorf("the binding: got %q, want delete in progress", got)
		}
		back()
		u.work()
		if list := u.Bindings("etl", "orders"); len(list) != 0 {
			t.Errorf("the binding: got %q, want it gone", list[0].LastOperation)
		}
		u.ok(u.DeleteService(ctx, "orders"), "cf delete-service, repeated")
		u.agrees()
		w.nothingLeft()
	})

	t.Run("unbind from a platform that cannot poll", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		w := newWorld(t, options{budget: shortBudget})
		u := w.orders(w.broker().base, speaking("2.13"))
		u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
		back := w.prod().uaaDown()
		if err := u.UnbindService(ctx, "etl", "orders"); err == nil {
			t.Error("cf unbind-service went well without UAA")
		}
		if got := u.binding("etl", "orders").LastOperation; got.String() != "delete failed" {
			t.Errorf("the binding: got %q, want delete failed", got)
		}
		back()
		w.idle()
		u.ok(u.UnbindService(ctx, "etl", "orders"), "cf unbind-service, repeated")
		u.ok(u.DeleteService(ctx, "orders"), "cf delete-service")
		u.agrees()
		w.nothingLeft()
	})

	for _, comes := range []bool{true, false} {
		t.Run(fmt.Sprintf("update, and it comes back: %t", comes), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newWorld(t, options{budget: shortBudget, polling: 3 * time.Minute})
			u := w.cloudFoundry(w.broker().base)
			u.ok(u.CreateService(ctx, offeringName, "prod", "orders", object{"authorities": []string{"orders.read", "orders.write"}}), "cf create-service")
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
			back := w.prod().uaaDown()
			u.ok(u.UpdateService(ctx, "orders", "", object{"authorities": []string{"orders.read"}}), "cf update-service")
			u.shows("orders", "update in progress")
			u.fails(u.BindService(ctx, "second", "orders", cloudcontroller.Bind{}), cloudcontroller.Refused, "cf bind-service in the meantime")
			if comes {
				back()
			}
			u.work()
			if comes {
				u.shows("orders", "update succeeded")
			} else {
				u.shows("orders", "update failed")
				back()
			}
			w.settle()
			u.ok(u.UpdateService(ctx, "orders", "", object{"authorities": []string{"orders.read"}}), "cf update-service, repeated")
			u.agrees()
			u.mitigated(0)
		})
	}
}

// TestCloudFoundryLostAnswers loses the answer to each call that changes
// something. A time-out is cleaned up after by Cloud Controller; a connection that
// broke is not, until the user tries again.
func TestCloudFoundryLostAnswers(t *testing.T) {
	t.Parallel()
	type lost struct {
		name string
		way  loss
		kind cloudcontroller.Kind
		n    int // mitigations
	}
	for _, l := range []lost{{"hangs", hangs, cloudcontroller.HTTPClientTimeout, 1}, {"breaks", breaks, cloudcontroller.HTTPRequestError, 0}} {
		start := func(t *testing.T) (*world, *between, *cf) {
			w := newWorld(t, options{})
			router := w.between(w.broker().base)
			return w, router, w.cloudFoundry(router.url)
		}

		t.Run("provision/"+l.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			_, router, u := start(t)
			router.set(nil, once(http.MethodPut, l.way))
			u.impatiently(func() {
				u.fails(u.CreateService(ctx, offeringName, "prod", "orders", nil), l.kind, "cf create-service")
			})
			u.shows("orders", "create failed")
			u.mitigated(l.n)
			u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service, repeated")
			u.mitigated(l.n + 1)
			u.work()
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
			u.agrees()
		})

		t.Run("bind/"+l.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w, router, u := start(t)
			u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service")
			router.set(nil, once(http.MethodPut, l.way))
			u.impatiently(func() {
				u.fails(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), l.kind, "cf bind-service")
			})
			if !eventually(settleWithin, func() bool { return w.prod().clients() == 1 }) {
				t.Errorf("the broker made %d clients before its answer was lost, want 1", w.prod().clients())
			}
			u.mitigated(l.n)
			u.work()
			if n := w.prod().clients(); n != 1-l.n {
				t.Errorf("after orphan mitigation there are %d clients, want %d", n, 1-l.n)
			}
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service, repeated")
			u.work()
			u.agrees()
			if n := w.prod().clients(); n != 1 {
				t.Errorf("in the end there are %d clients, want 1", n)
			}
		})

		t.Run("update/"+l.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			_, router, u := start(t)
			u.ok(u.CreateService(ctx, offeringName, "prod", "orders", object{"authorities": []string{"orders.read", "orders.write"}}), "cf create-service")
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
			router.set(nil, once(http.MethodPatch, l.way))
			narrow := object{"authorities": []string{"orders.read"}}
			u.impatiently(func() { u.fails(u.UpdateService(ctx, "orders", "", narrow), l.kind, "cf update-service") })
			u.shows("orders", "update failed")
			u.mitigated(0)
			u.ok(u.UpdateService(ctx, "orders", "", narrow), "cf update-service, repeated")
			u.agrees()
		})

		t.Run("unbind and deprovision/"+l.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w, router, u := start(t)
			u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service")
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
			router.set(nil, once(http.MethodDelete, l.way))
			u.impatiently(func() { u.fails(u.DeleteService(ctx, "orders"), l.kind, "cf delete-service, whose unbind is lost") })
			router.set(nil, func(r *http.Request) loss {
				if r.Method == http.MethodDelete && !strings.Contains(r.URL.Path, "service_bindings") {
					return l.way
				}
				return arrives
			})
			u.impatiently(func() {
				u.fails(u.DeleteService(ctx, "orders"), l.kind, "cf delete-service, whose deprovision is lost")
			})
			u.shows("orders", "delete failed")
			router.set(nil, nil)
			u.ok(u.DeleteService(ctx, "orders"), "cf delete-service, repeated")
			u.mitigated(0)
			u.agrees()
			w.nothingLeft()
		})
	}
}

// TestCloudFoundryTimesOutFirst: the clean-up comes while the broker is still at
// work on what is to be cleaned up.
func TestCloudFoundryTimesOutFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []remoteCall{bindCalls[2], bindCalls[4]} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newWorld(t, options{timeout: 2 * time.Second})
			u := w.orders(w.broker().base)
			release := make(chan struct{})
			w.prod().faults(c.system).Add(c.rule(standin.Fault{Kind: standin.Slow, Release: release}))
			u.impatiently(func() {
				u.fails(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), cloudcontroller.HTTPClientTimeout, "cf bind-service")
			})
			close(release)
			u.work()
			u.mitigated(1)
			u.agrees()
			w.nothingLeft()
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service, repeated")
			u.work()
			u.agrees()
		})
	}
}

// TestCloudFoundryMitigationIsRepeated: the broker cannot be reached when the
// clean-up comes, for some time or for longer than Cloud Controller tries.
func TestCloudFoundryMitigationIsRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		down    int // how many deletes do not reach it
		took    time.Duration
		orphans int
	}{
		{"after 14 minutes", 3, 14 * time.Minute, 0},
		{"given up", 1 << 30, 2046 * time.Minute, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newWorld(t, options{})
			router := w.between(w.broker().base)
			u := w.orders(router.url)
			deletes := 0
			router.set(func(r *http.Request) int {
				if r.Method != http.MethodDelete {
					return 0
				}
				if deletes++; deletes > c.down {
					return 0
				}
				return http.StatusBadGateway
			}, once(http.MethodPut, hangs))
			u.impatiently(func() {
				u.fails(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), cloudcontroller.HTTPClientTimeout, "cf bind-service")
			})
			before := w.now()
			u.work()
			if took := w.now().Sub(before).Round(time.Minute); took < c.took || took > c.took+time.Minute {
				t.Errorf("the clean-up took %s, want %s", took, c.took)
			}
			if got := u.Orphans(); got != c.orphans {
				t.Errorf("orphans: got %d, want %d", got, c.orphans)
			}
			w.check()
			if n := w.prod().clients(); n != c.orphans {
				t.Errorf("clients: got %d, want %d", n, c.orphans)
			}
		})
	}
}

// TestCloudFoundryNeedsNoAirflow: what concerns UAA alone does not wait for an
// Airflow that is down.
func TestCloudFoundryNeedsNoAirflow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, options{})
	u := w.cloudFoundry(w.broker().base)
	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", object{"authorities": []string{"orders.read", "orders.write"}}), "cf create-service")
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	back := w.prod().airflowDown()
	u.ok(u.RenameService(ctx, "orders", "renamed"), "cf rename-service")
	u.shows("renamed", "update succeeded")
	u.ok(u.UpdateService(ctx, "renamed", "", object{"authorities": []string{"orders.read"}}), "cf update-service")
	u.shows("renamed", "update succeeded")
	u.ok(u.CreateService(ctx, offeringName, "prod", "second", nil), "cf create-service")
	u.shows("second", "create succeeded")
	u.ok(u.CreateServiceKey(ctx, "renamed", "ci", object{"airflow": false, "app_client": true}), "cf create-service-key")
	key, err := u.ServiceKey("renamed", "ci")
	u.ok(err, "cf service-key")
	if status := tokenStatus(w.prod().uaa.URL()+"/oauth/token", textOf(key["client_id"]), textOf(key["client_secret"])); status != http.StatusOK {
		t.Errorf("the key: UAA answers %d, want 200", status)
	}
	// A second binding of the app joins the connection that is there.
	u.ok(u.BindService(ctx, "etl", "renamed", cloudcontroller.Bind{Multiple: true}), "cf bind-service --strategy multiple")
	u.ok(u.CleanupOutdatedServiceBindings(ctx, "etl", 1), "cf cleanup-outdated-service-bindings")
	if got := u.binding("etl", "renamed").LastOperation; got.String() != "create succeeded" {
		t.Errorf("the newer binding: got %q, want create succeeded", got)
	}
	back()
	u.agrees()
	if connection, _ := w.prod().airflow.Connection("acme_orders"); !strings.Contains(connection.Description, "acme/prod/renamed: orders.read.") {
		t.Errorf("with Airflow back the connection says %q", connection.Description)
	}
}

// TestCloudFoundryUAADownAtBind: nothing can be made, nor can it be cleaned up
// before UAA is back.
func TestCloudFoundryUAADownAtBind(t *testing.T) {
	t.Parallel()
	t.Run("never met before: refused before anything is written", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{budget: shortBudget})
		u := w.orders(w.broker().base)
		back := w.prod().uaaDown()
		failure := u.fails(u.BindService(t.Context(), "etl", "orders", cloudcontroller.Bind{}), cloudcontroller.BadResponse, "cf bind-service")
		if !strings.Contains(failure.Message, "nothing was changed") {
			t.Errorf("it says %q", failure.Message)
		}
		var rows int
		if err := w.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM binding) + (SELECT count(*) FROM identity) + (SELECT count(*) FROM connection)`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("rows: got %d %v, want none", rows, err)
		}
		u.work() // Cloud Controller does not believe it
		u.mitigated(1)
		back()
		u.agrees()
	})
	for _, comes := range []bool{true, false} {
		t.Run(fmt.Sprintf("it comes back: %t", comes), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newWorld(t, options{budget: shortBudget, polling: 30 * time.Minute})
			u := w.orders(w.broker().base)
			u.ok(u.BindService(ctx, "earlier", "orders", cloudcontroller.Bind{}), "cf bind-service")
			u.ok(u.UnbindService(ctx, "earlier", "orders"), "cf unbind-service")
			back := w.prod().uaaDown()
			u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
			if comes {
				back()
			}
			u.work()
			want := map[bool]string{true: "create succeeded", false: "create failed"}[comes]
			if got := u.binding("etl", "orders").LastOperation; got.String() != want {
				t.Errorf("got %q %q, want %q", got, got.Description, want)
			}
			if !comes {
				// The user deletes it all; it takes a second try.
				if err := u.DeleteService(ctx, "orders"); err != nil {
					u.work()
					back()
					w.idle()
					u.ok(u.DeleteService(ctx, "orders"), "cf delete-service, repeated")
				}
				back()
			}
			u.agrees()
			u.ok(u.DeleteService(ctx, "orders"), "cf delete-service")
			u.agrees()
			w.nothingLeft()
		})
	}
}

// TestCloudFoundryRemovalOutlastsPolling: Cloud Controller stops asking before the
// broker is done. The broker goes on, and the command can be repeated.
func TestCloudFoundryRemovalOutlastsPolling(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, options{budget: shortBudget, polling: 2 * time.Minute})
	u := w.orders(w.broker().base)
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	back := w.prod().uaaDown()
	u.ok(u.UnbindService(ctx, "etl", "orders"), "cf unbind-service")
	u.work()
	if got := u.binding("etl", "orders").LastOperation; got.String() != "delete failed" {
		t.Errorf("after the plan's limit: got %q, want delete failed", got)
	}
	u.fails(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), cloudcontroller.Refused, "cf bind-service of what is being unbound")
	u.ok(u.UnbindService(ctx, "etl", "orders"), "cf unbind-service, repeated with UAA still down")
	back()
	u.work()
	if list := u.Bindings("etl", "orders"); len(list) != 0 {
		t.Errorf("with UAA back: got %q, want it gone", list[0].LastOperation)
	}
	u.agrees()
	w.nothingLeft()
}

// TestCloudFoundryBrokerRestarts: the broker that said 202 is gone, and another
// one answers for it.
func TestCloudFoundryBrokerRestarts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, options{budget: shortBudget, polling: 10 * time.Minute})
	first := w.broker()
	router := w.between(first.base)
	u := w.orders(router.url)
	back := w.prod().airflowDown()
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	second := w.broker()
	first.stop()
	router.set(func(*http.Request) int { return http.StatusBadGateway }, nil)
	if _, err := u.Step(ctx); err != nil { // nobody is there to be asked
		t.Fatal(err)
	}
	if got := u.binding("etl", "orders").LastOperation; got.String() != "create in progress" {
		t.Errorf("with no broker: got %q, want create in progress", got)
	}
	router.leadTo(second.base)
	router.set(nil, nil)
	back()
	u.work()
	if got := u.binding("etl", "orders").LastOperation; got.String() != "create succeeded" {
		t.Errorf("with another broker: got %q %q, want create succeeded", got, got.Description)
	}
	u.mitigated(0)
	u.agrees()
}
