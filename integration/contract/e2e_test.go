//go:build e2e && unix

package contract

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/real"
	standin "airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
)

// target is a system that a suite is run on: the stand-in first, which all others are
// compared with, then real ones.
type target struct {
	suite, name string
	// same: it is the very version that the stand-in stands for, and may differ in
	// nothing. Another may keep a rule that this one does not, or the other way round,
	// as long as the program is made for both.
	same  bool
	start func(*testing.T, *oneUAA) func(context.Context) (Report, error)
}

// targets are the stand-ins, and what real.Targets lists: another version is a line there.
func targets() []target {
	all := []target{
		{SuiteUAA, "stand-in", true, standInUAA},
		{SuiteAirflowV1, "stand-in", true, standInAirflow(standin.Version2)},
		{SuiteAirflowV2, "stand-in", true, standInAirflow(standin.Version3)},
	}
	for _, t := range real.Targets {
		switch {
		case t.System == real.UAASystem:
			all = append(all, target{SuiteUAA, t.String(), true, realUAA}, target{SuiteUAA, "a zone of it", true, realZone})
		case strings.HasPrefix(t.Version, "2."):
			all = append(all, target{SuiteAirflowV1, t.String(), strings.HasPrefix(t.Version, standin.Version2+"."), realAirflow(t.Version)})
		default:
			all = append(all, target{SuiteAirflowV2, t.String(), strings.HasPrefix(t.Version, standin.Version3+"."), realAirflow(t.Version)})
		}
	}
	return all
}

func standInUAA(t *testing.T, _ *oneUAA) func(context.Context) (Report, error) {
	_, target := ownUAA(t, uaa.Config{})
	return target.Run
}

func standInAirflow(version string) func(*testing.T, *oneUAA) func(context.Context) (Report, error) {
	return func(t *testing.T, _ *oneUAA) func(context.Context) (Report, error) {
		_, target := ownAirflow(t, version, "op")
		return target.Run
	}
}

// startMost is for a machine that has other things to do.
const startMost = 5 * time.Minute

// oneUAA is the real UAA that all its targets share: to start it costs more than a suite.
type oneUAA struct {
	started sync.Once
	server  *real.UAA
	err     error
}

func (o *oneUAA) start(ctx context.Context) (*real.UAA, error) {
	o.started.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, startMost)
		defer cancel()
		o.server, o.err = real.StartUAA(ctx, real.UAAConfig{Broker: real.Client{Authorities: []string{"clients.admin", "tokens.revoke"}}})
	})
	return o.server, o.err
}

func (o *oneUAA) stop() {
	if o.server != nil {
		_ = o.server.Stop()
	}
}

func realUAA(t *testing.T, shared *oneUAA) func(context.Context) (Report, error) {
	server, err := shared.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return UAA{
		URL: server.URL, ClientID: server.Broker.ID, Secret: identity.SecretFrom(server.Broker.Secret), Transport: transport(t),
	}.Run
}

// realZone makes an identity zone as UAA's operators do, its id for its subdomain, and a
// client of the default zone that may make clients in it and nothing else.
func realZone(t *testing.T, shared *oneUAA) func(context.Context) (Report, error) {
	const zone = "contract"
	server, err := shared.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	way := zoned(t)
	caller, err := newCaller(server.URL, way)
	if err != nil {
		t.Fatal(err)
	}
	admin := &uaaSite{caller: caller}
	got, err := admin.ask(t.Context(), admin.base, server.Admin.ID, server.Admin.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	admin.token = got.text("access_token")
	broker := client{id: "airflow-identity-of-" + zone, secret: random(20), authorities: []string{"zones." + zone + ".clients.admin"}, life: 600}
	for _, made := range []struct {
		path string
		body any
	}{
		{"/identity-zones", map[string]string{"id": zone, "subdomain": zone, "name": zone}},
		{clients, broker.bodyWithSecret()},
	} {
		a, err := admin.manage(t.Context(), http.MethodPost, made.path, made.body)
		if err != nil || a.status != http.StatusCreated {
			t.Fatalf("POST %s: %v, %v", made.path, a, err)
		}
	}
	return UAA{URL: server.URL, Zone: zone, ClientID: broker.id, Secret: identity.SecretFrom(broker.secret), Transport: way}.Run
}

func realAirflow(version string) func(*testing.T, *oneUAA) func(context.Context) (Report, error) {
	return func(t *testing.T, _ *oneUAA) func(context.Context) (Report, error) {
		ctx, cancel := context.WithTimeout(t.Context(), startMost)
		defer cancel()
		server, err := real.StartAirflow(ctx, real.AirflowConfig{Version: version})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop() })
		way := transport(t)
		authorize := passwordLogin(server.URL, server.User, server.Password, way)
		if server.Login == "basic" {
			authorize = basicLogin(server.User, server.Password)
		}
		return Airflow{URL: server.URL, Authorize: authorize, Transport: way}.Run
	}
}

// Every system gets the same list, and every verdict must be the stand-in's: what is true
// of it alone is not true.
func TestE2EContract(t *testing.T) {
	t.Parallel()
	targets := targets()
	reports := make([]Report, len(targets))
	took := make([]time.Duration, len(targets))
	var shared oneUAA
	defer shared.stop()
	t.Run("run", func(t *testing.T) {
		for i, target := range targets {
			t.Run(target.suite+", "+target.name, func(t *testing.T) {
				t.Parallel()
				run := target.start(t, &shared)
				begun := time.Now()
				report, err := run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				reports[i], took[i] = report, time.Since(begun)
				for _, f := range report.Findings {
					if f.Verdict != Holds {
						t.Logf("%s: %s: %s", f.Case, f.Verdict, f.Seen)
					}
				}
			})
		}
	})
	if t.Failed() {
		return
	}

	for _, suite := range []string{SuiteUAA, SuiteAirflowV1, SuiteAirflowV2} {
		var columns []int
		for i, target := range targets {
			if target.suite == suite {
				columns = append(columns, i)
			}
		}
		t.Log(table(suite, targets, columns, reports, took))
		want := reports[columns[0]]
		for _, i := range columns {
			compare(t, targets[i], reports[i], want)
		}
	}
}

func compare(t *testing.T, target target, got, want Report) {
	t.Helper()
	if got.Suite != target.suite || len(got.Findings) != len(want.Findings) {
		t.Errorf("%s: got %d cases of %s, want %d of %s", target.name, len(got.Findings), got.Suite, len(want.Findings), target.suite)
		return
	}
	if len(got.Left) > 0 {
		t.Errorf("%s: left behind: %v", target.name, got.Left)
	}
	for i, f := range got.Findings {
		mild := func(v Verdict) bool { return v == Holds || v == Otherwise }
		stand := want.Findings[i].Verdict
		if f.Verdict == Broken || f.Verdict != stand && (target.same || !mild(f.Verdict) || !mild(stand)) {
			t.Errorf("%s, %s: %s: %s %s; the stand-in: %s %s", target.suite, target.name, f.Case, f.Verdict, f.Seen, stand, want.Findings[i].Seen)
		}
	}
}

func table(suite string, targets []target, columns []int, reports []Report, took []time.Duration) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s", suite)
	for _, i := range columns {
		fmt.Fprintf(w, "\t%s (%.1f s)", targets[i].name, took[i].Seconds())
	}
	fmt.Fprintln(w)
	for row, f := range reports[columns[0]].Findings {
		fmt.Fprint(w, f.Case)
		for _, i := range columns {
			fmt.Fprintf(w, "\t%s", reports[i].Findings[row].Verdict)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	return out.String()
}
