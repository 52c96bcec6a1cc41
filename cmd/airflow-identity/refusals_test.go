package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"airflow-identity/integration/standin"
	"airflow-identity/integration/standin/airflow"
)

// refusal is a row of the README's table.
type refusal struct {
	status string
	word   string
	says   []string
}

func refusals(t *testing.T) map[string]refusal {
	t.Helper()
	_, table, found := strings.Cut(document(t, "README.md"), "| what was done | status | error | what it says |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("the README has no table of refusals")
	}
	rows := map[string]refusal{}
	quoted := regexp.MustCompile("`([^`]*)`")
	for _, line := range strings.Split(table, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "|") {
			break
		}
		for len(cells) < 4 {
			cells = append(cells, "")
		}
		r := refusal{status: strings.TrimSpace(strings.Trim(cells[1], "| ")), word: strings.Trim(cells[2], "` |")}
		for _, match := range quoted.FindAllStringSubmatch(cells[3], -1) {
			r.says = append(r.says, match[1])
		}
		rows[cells[0]] = r
	}
	return rows
}

func (r refusal) check(t *testing.T, name string, got reply) {
	t.Helper()
	description, _ := got.body["description"].(string)
	word, _ := got.body["error"].(string)
	if got.err != nil || fmt.Sprint(got.status) != r.status || word != r.word {
		t.Errorf("%s: got %d %v %v, want %s %s", name, got.status, got.body, got.err, r.status, r.word)
	}
	for _, says := range r.says {
		if !strings.Contains(description, says) {
			t.Errorf("%s: %q does not say %q", name, description, says)
		}
	}
}

// asker sends what the rows of the table tell of.
type asker struct {
	t *testing.T
	b *demoBroker
	c *cast
}

func (a asker) send(method, path string, body any) reply {
	status, answer, err := a.b.call(context.WithoutCancel(a.t.Context()), method, path, body)
	return reply{status, answer, err}
}

func (a asker) create(name string, parameters any) reply {
	path, body := a.c.create("prod", name, parameters)
	return a.send(http.MethodPut, path, body)
}

func (a asker) bind(name, app string, parameters any) reply {
	path, body := a.c.bind("prod", name, app, parameters)
	return a.send(http.MethodPut, path, body)
}

// update asks for a plan and parameters of the instance orders.
func (a asker) update(plan string, parameters any) reply {
	path, _ := a.c.create("prod", "orders", nil)
	_, body := a.c.create(plan, "orders", parameters)
	return a.send(http.MethodPatch, path, body)
}

func (a asker) unbind(name, app string) reply {
	path, _ := a.c.bind("prod", name, app, nil)
	return a.send(http.MethodDelete, path+a.c.ids("prod"), nil)
}

// changed is a bind with keys of its body changed.
func (a asker) changed(name, app string, keys map[string]any) reply {
	path, body := a.c.bind("prod", name, app, nil)
	maps.Copy(body, keys)
	return a.send(http.MethodPut, path, body)
}

func (a asker) must(status int, got reply) reply {
	a.t.Helper()
	if got.err != nil || got.status != status {
		a.t.Fatalf("got %d %v %v, want %d", got.status, got.body, got.err, status)
	}
	return got
}

type parameters = map[string]any

func only(authorities ...string) parameters { return parameters{"authorities": authorities} }

// tighten gives the stage's prod a small quota and a sibling, bare, that gives
// nothing by default, and retires dev.
func (s *stage) tighten(t *testing.T) {
	t.Helper()
	s.state.Plans["bare"] = "b0a7d0f3-bare"
	s.reconfigure(t, func(config *Config) {
		config.Plans[0].Quota.InstancesPerSpace = 2
		config.Plans[1].Retired = true
		bare := config.Plans[0]
		bare.ID, bare.Name, bare.DefaultAuthorities = s.state.Plans["bare"], "bare", nil
		config.Plans = append(config.Plans, bare)
	})
}

// TestReadmeRefusals produces every row of the table by a real request. The
// broker has two instances in prod: orders, with one app bound, etl, and narrow.
func TestReadmeRefusals(t *testing.T) {
	t.Parallel()
	rows := refusals(t)
	s := newStage(t, time.Duration(defaultTimeout), "dev")
	s.tighten(t)
	prod := s.environments["prod"]

	// UAA has never been reached: nothing can be said in a connection.
	prod.uaa.Faults.Add(standin.Fault{Kind: standin.Answer, Status: http.StatusBadGateway, Times: 1 << 30})
	a := asker{t, s.broker(t, "broker"), &cast{stage: s}}
	a.must(http.StatusCreated, a.create("orders", nil))
	unreached := a.bind("orders", "etl", nil)
	for range 4 {
		a.must(http.StatusServiceUnavailable, a.bind("orders", "etl", nil))
	}
	// That was often enough: for a while it is not even asked whether it is back.
	prod.uaa.Faults.Clear()
	leftAlone := a.bind("orders", "etl", nil)
	var bound reply
	await(t, "UAA is called again", func() bool {
		bound = a.bind("orders", "etl", nil)
		return bound.status == http.StatusCreated
	})
	a.must(http.StatusCreated, a.create("narrow", only("orders.read")))
	credentialsAsDocumented(t, bound.body["credentials"])
	appClientAsDocumented(t, a.must(http.StatusCreated, a.bind("orders", "ci", parameters{"airflow": false, "app_client": true})).body["credentials"])

	for name, produce := range map[string]func() reply{
		"an unknown parameter":                     func() reply { return a.bind("orders", "x", parameters{"colour": "blue"}) },
		"two authorities in one string":            func() reply { return a.bind("orders", "x", only("orders.read,uaa.admin")) },
		"a connection id that Airflow cannot take": func() reply { return a.bind("orders", "x", parameters{"connection_id": "Acme Orders"}) },
		"an authority that nobody gets":            func() reply { return a.bind("orders", "x", only("clients.admin")) },
		"an authority beyond the plan":             func() reply { return a.bind("orders", "x", only("billing.read")) },
		"an authority beyond the instance's list":  func() reply { return a.bind("narrow", "x", only("orders.write")) },
		"a connection id beyond the plan":          func() reply { return a.bind("orders", "x", parameters{"connection_id": "billing"}) },
		"a connection id that another binding holds": func() reply {
			return a.bind("narrow", "x", parameters{"connection_id": "acme_orders"})
		},
		"the same app bound again for something else": func() reply {
			path, body := a.c.bind("prod", "orders", "etl", only("orders.write"))
			return a.send(http.MethodPut, path+"-again", body)
		},
		"nothing asked where nothing is the default": func() reply {
			path, body := a.c.create("bare", "orders", nil)
			a.must(http.StatusCreated, a.send(http.MethodPut, path, body))
			path, body = a.c.bind("bare", "orders", "x", nil)
			return a.send(http.MethodPut, path, body)
		},
		"`airflow` false without `app_client`":       func() reply { return a.bind("orders", "x", parameters{"airflow": false}) },
		"a role":                                     func() reply { return a.bind("orders", "x", parameters{"roles": []string{"space_auditor"}}) },
		"a token life beyond the plan":               func() reply { return a.bind("orders", "x", parameters{"token_lifetime": "31m"}) },
		"an app client for longer than the plan has": func() reply { return a.bind("orders", "x", parameters{"app_client": true, "expires_in": "721h"}) },
		"a rotation period beyond the plan":          func() reply { return a.update("prod", parameters{"rotation_period": "25h"}) },
		"an update to a plan of another environment": func() reply { return a.update("dev", nil) },
		"an instance of a retired plan": func() reply {
			path, body := a.c.create("dev", "orders", nil)
			return a.send(http.MethodPut, path, body)
		},
		"one more than a quota": func() reply { return a.create("third", nil) },
		"a connection in Airflow that is not ours": func() reply {
			prod.airflow.PutConnection(airflow.Connection{ConnectionID: "acme_by_hand", ConnType: "http", Host: "https://example.com"})
			return a.bind("orders", "x", parameters{"connection_id": "acme_by_hand"})
		},
		"a bind from another space": func() reply {
			return a.changed("orders", "x", parameters{"context": parameters{"platform": "cloudfoundry", "organization_guid": storyOrg, "space_guid": "another"}})
		},
		"a plan that does not exist": func() reply { return a.changed("orders", "x", parameters{"plan_id": "another"}) },
		"a wrong broker login": func() reply {
			status, answer, err := osbCall{http.MethodGet, a.b.url + "/v2/catalog", ""}.send("platform", "wrong")
			return reply{status, answer, err}
		},
		"a bind to an instance that is not there":    func() reply { return a.bind("nothing", "x", nil) },
		"a create that exists with other parameters": func() reply { return a.create("orders", only("orders.read")) },
		"an unbind of what is not there":             func() reply { return a.unbind("orders", "nothing") },
		"a bind while the same one is being removed": func() reply {
			a.must(http.StatusCreated, a.bind("orders", "leaving", nil))
			held := a.holdAirflow(http.MethodDelete)
			removed := make(chan reply, 1)
			go func() { removed <- a.unbind("orders", "leaving") }()
			<-held.arrived
			got := a.bind("orders", "leaving", nil)
			close(held.release)
			a.must(http.StatusOK, <-removed)
			return got
		},
		"a bind while UAA was never reached":              func() reply { return unreached },
		"a bind while UAA or Airflow is known to be down": func() reply { return leftAlone },
	} {
		row, documented := rows[name]
		if !documented {
			t.Errorf("the README's table has no row %q", name)
			continue
		}
		row.check(t, name, produce())
		delete(rows, name)
	}

	// The last one ends the broker.
	const late = "a bind that is not finished in time"
	held := a.holdAirflow(http.MethodPost)
	unfinished := make(chan reply, 1)
	go func() { unfinished <- a.bind("orders", "late", nil) }()
	<-held.arrived
	a.b.stop()
	rows[late].check(t, late, <-unfinished)
	close(held.release)
	delete(rows, late)
	if left := slices.Sorted(maps.Keys(rows)); len(left) > 0 {
		t.Errorf("nothing produces the rows %q", left)
	}
}

// hold is a request that Airflow has and does not answer.
type hold struct{ arrived, release chan struct{} }

func (a asker) holdAirflow(method string) hold {
	h := hold{make(chan struct{}), make(chan struct{})}
	a.c.stage.environments["prod"].airflow.Faults.Add(standin.Fault{
		Call: method + " /api/v2/connections", Kind: standin.Slow, Delay: patience, Release: h.release,
		Before: func() { close(h.arrived) },
	})
	return h
}

// credentialsAsDocumented compares keys, at every depth, and the kinds of values.
func credentialsAsDocumented(t *testing.T, real any) {
	t.Helper()
	var documented any
	if err := json.Unmarshal([]byte(blocks(t, document(t, "README.md"), "json")[0]), &documented); err != nil {
		t.Fatal(err)
	}
	if got, want := shape(real), shape(documented); got != want {
		t.Errorf("credentials: got %s, the README has %s", got, want)
	}
}

// appClientAsDocumented holds what an app client adds to the credentials, and
// takes from them where nothing is registered, to the README's second example.
func appClientAsDocumented(t *testing.T, real any) {
	t.Helper()
	credentials, _ := real.(map[string]any)
	for i, text := range blocks(t, document(t, "README.md"), "json")[:2] {
		var documented map[string]any
		if err := json.Unmarshal([]byte(text), &documented); err != nil {
			t.Fatal(err)
		}
		for key := range documented {
			if got := credentials[key]; shape(got) != shape(documented[key]) && (i > 0 || key != "airflow") {
				t.Errorf("credentials of an app client: %s is %s, the README has %s", key, shape(got), shape(documented[key]))
			}
			delete(credentials, key)
		}
	}
	if len(credentials) > 0 {
		t.Errorf("credentials of an app client: the README does not tell of %q", slices.Sorted(maps.Keys(credentials)))
	}
}

func shape(value any) string {
	switch v := value.(type) {
	case map[string]any:
		var keys []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			keys = append(keys, key+":"+shape(v[key]))
		}
		return "{" + strings.Join(keys, " ") + "}"
	case []any:
		return "list"
	default:
		return fmt.Sprintf("%T", value)
	}
}

// TestReadmeParametersAreAccepted binds with every -c that the README shows.
func TestReadmeParametersAreAccepted(t *testing.T) {
	t.Parallel()
	s := newStage(t, time.Duration(defaultTimeout))
	a := asker{t, s.broker(t, "broker"), &cast{stage: s}}
	a.must(http.StatusCreated, a.create("orders", nil))
	shown := 0
	for _, line := range commandLines(document(t, "README.md")) {
		typed, text, found := strings.Cut(line, " -c ")
		if !found {
			continue
		}
		var asked parameters
		if err := json.Unmarshal([]byte(strings.Trim(text, "'")), &asked); err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		shown++
		got, want := reply{}, http.StatusCreated
		switch name := fmt.Sprintf("thing-%d", shown); strings.Fields(typed)[1] {
		case "create-service":
			got = a.create(name, asked)
		case "update-service":
			got, want = a.update("prod", asked), http.StatusOK
		default:
			got = a.bind("orders", name, asked)
		}
		if got.err != nil || got.status != want {
			t.Errorf("%q: got %d %v %v, want %d", line, got.status, got.body, got.err, want)
		}
	}
	if shown < 4 {
		t.Errorf("the README shows %d, want 4 at least", shown)
	}

	// What the table of failures says of Postgres.
	if err := s.database.Stop(); err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/v2/catalog": http.StatusOK} {
		if got := a.send(http.MethodGet, path, nil); got.err != nil || got.status != status {
			t.Errorf("%s without Postgres: got %d %v %v, want %d", path, got.status, got.body, got.err, status)
		}
	}
	if got := a.bind("orders", "etl", nil); got.status < 500 {
		t.Errorf("a bind without Postgres: got %d %v %v, want 5xx", got.status, got.body, got.err)
	}
}
