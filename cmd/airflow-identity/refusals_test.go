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

// TestReadmeRefusals produces every row of the table by a real request. The
// broker has one instance, orders, with one app bound, etl.
func TestReadmeRefusals(t *testing.T) {
	t.Parallel()
	rows := refusals(t)
	s := newStage(t, time.Duration(defaultTimeout))
	prod := s.environments["prod"]

	// UAA has never been reached: nothing can be said in a connection.
	prod.uaa.Faults.Add(standin.Fault{Kind: standin.Answer, Status: http.StatusBadGateway, Times: 1 << 30})
	a := asker{t, s.broker(t, "broker"), &cast{stage: s}}
	a.must(http.StatusCreated, a.create("orders", nil))
	unreached := a.bind("orders", "etl", nil)
	prod.uaa.Faults.Clear()
	bound := a.must(http.StatusCreated, a.bind("orders", "etl", nil))
	a.must(http.StatusCreated, a.create("narrow", only("orders.read")))
	credentialsAsDocumented(t, bound.body["credentials"])

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
		"the same app bound a second time": func() reply {
			path, body := a.c.bind("prod", "orders", "etl", nil)
			return a.send(http.MethodPut, path+"-again", body)
		},
		"a connection in Airflow that is not ours": func() reply {
			prod.airflow.PutConnection(airflow.Connection{ConnectionID: "acme_by_hand", ConnType: "http", Host: "https://example.com"})
			return a.bind("orders", "x", parameters{"connection_id": "acme_by_hand"})
		},
		"a bind from another space": func() reply {
			return a.changed("orders", "x", parameters{"context": parameters{"platform": "cloudfoundry", "organization_guid": storyOrg, "space_guid": "another"}})
		},
		"a plan that does not exist": func() reply { return a.changed("orders", "x", parameters{"plan_id": "another"}) },
		"an update of an instance": func() reply {
			path, body := a.c.create("prod", "orders", only("orders.read"))
			return a.send(http.MethodPatch, path, body)
		},
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
		"a bind while UAA was never reached": func() reply { return unreached },
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
		_, text, found := strings.Cut(line, " -c ")
		if !found {
			continue
		}
		var asked parameters
		if err := json.Unmarshal([]byte(strings.Trim(text, "'")), &asked); err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		shown++
		if got := a.bind("orders", fmt.Sprintf("app-%d", shown), asked); got.err != nil || got.status != http.StatusCreated {
			t.Errorf("%q: got %d %v %v, want 201", line, got.status, got.body, got.err)
		}
	}
	if shown < 2 {
		t.Errorf("the README shows %d, want 2 at least", shown)
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
