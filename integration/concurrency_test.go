package integration

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"airflow-identity/catalog"
)

// atOnce sends n requests together and counts their statuses.
func atOnce(n int, send func(i int) answer) (map[int]int, []answer) {
	answers := make([]answer, n)
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wait.Go(func() {
			<-start
			answers[i] = send(i)
		})
	}
	close(start)
	wait.Wait()
	statuses := map[int]int{}
	for _, a := range answers {
		statuses[a.status]++
	}
	return statuses, answers
}

func TestFiftyBindsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5e9, budget: 40e9})
	brokers := []*process{w.broker(), w.broker()}
	want(t, brokers[0].provision("i1", nil), http.StatusCreated, "provision")
	statuses, answers := atOnce(50, func(i int) answer {
		return brokers[i%2].bind("i1", fmt.Sprintf("b%d", i), fmt.Sprintf("app-%d", i), nil)
	})
	if statuses[http.StatusCreated] != 50 {
		t.Errorf("50 binds: got %v, want 50 times 201: %s", statuses, firstOther(answers, http.StatusCreated))
	}
	names := map[string]bool{}
	for _, a := range answers {
		names[connectionOf(a)] = true
	}
	if len(names) != 50 || !names["acme_orders"] {
		t.Errorf("connection ids: got %d different ones, want 50 with the default among them", len(names))
	}
	w.check()
	statuses, answers = atOnce(50, func(i int) answer { return brokers[(i+1)%2].unbind("i1", fmt.Sprintf("b%d", i)) })
	if statuses[http.StatusOK] != 50 {
		t.Errorf("50 unbinds: got %v, want 50 times 200: %s", statuses, firstOther(answers, http.StatusOK))
	}
	w.check()
	w.nothingLeft()
}

func firstOther(answers []answer, status int) string {
	for _, a := range answers {
		if a.status != status {
			return fmt.Sprintf("%d %s %v", a.status, a.text, a.err)
		}
	}
	return ""
}

// TestTheSameBindTenTimes: one is made, all are told of the same one.
func TestTheSameBindTenTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5e9, budget: 40e9})
	brokers := []*process{w.broker(), w.broker()}
	want(t, brokers[0].provision("i1", nil), http.StatusCreated, "provision")
	statuses, answers := atOnce(10, func(i int) answer { return brokers[i%2].bind("i1", "b1", "app-1", nil) })
	if statuses[http.StatusCreated] != 1 || statuses[http.StatusOK] != 9 {
		t.Errorf("got %v, want 201 once and 200 nine times: %s", statuses, firstOther(answers, http.StatusOK))
	}
	for _, a := range answers {
		if fmt.Sprint(a.body["credentials"]) != fmt.Sprint(answers[0].body["credentials"]) {
			t.Errorf("credentials differ: %s and %s", a.text, answers[0].text)
		}
	}
	w.check()
}

func TestTheSameProvisionTenTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	brokers := []*process{w.broker(), w.broker()}
	statuses, _ := atOnce(10, func(i int) answer { return brokers[i%2].provision("i1", nil) })
	if statuses[http.StatusCreated] != 1 || statuses[http.StatusOK] != 9 {
		t.Errorf("got %v, want 201 once and 200 nine times", statuses)
	}
}

// TestBindAgainstUnbind sends both at once, again and again. Whoever is first,
// the rows and both systems agree in the end.
func TestBindAgainstUnbind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5e9, budget: 40e9})
	brokers := []*process{w.broker(), w.broker()}
	want(t, brokers[0].provision("i1", nil), http.StatusCreated, "provision")
	bindMay := []int{http.StatusCreated, http.StatusUnprocessableEntity}
	unbindMay := []int{http.StatusOK, http.StatusGone}
	seen := map[string]int{}
	for round := range 20 {
		binding := fmt.Sprintf("b%d", round)
		_, answers := atOnce(2, func(i int) answer {
			if i == 0 {
				return brokers[round%2].bind("i1", binding, "app-1", nil)
			}
			return brokers[(round+1)%2].unbind("i1", binding)
		})
		bind, unbind := answers[0], answers[1]
		seen[fmt.Sprintf("bind %d unbind %d", bind.status, unbind.status)]++
		if !slices.Contains(bindMay, bind.status) || !slices.Contains(unbindMay, unbind.status) {
			t.Errorf("round %d: bind %d %s, unbind %d %s", round, bind.status, bind.text, unbind.status, unbind.text)
		}
		if bind.status != http.StatusCreated && unbind.status == http.StatusGone {
			t.Errorf("round %d: the bind was refused with %s although there was no unbind", round, bind.text)
		}
		if unbind.status == http.StatusGone { // it came first: the binding is there
			want(t, brokers[0].unbind("i1", binding), http.StatusOK, "unbind")
		}
	}
	t.Logf("%v", slices.Sorted(maps.Keys(seen)))
	w.check()
	w.nothingLeft()
}

// TestQuotasAreNotRaced: however many ask at once, a quota is a quota.
func TestQuotasAreNotRaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{timeout: 5e9, budget: 40e9, quota: catalog.Quota{InstancesPerSpace: 3, BindingsPerInstance: 5}})
	brokers := []*process{w.broker(), w.broker()}
	statuses, answers := atOnce(12, func(i int) answer { return brokers[i%2].provision(fmt.Sprintf("i%d", i), nil) })
	if statuses[http.StatusCreated] != 3 || statuses[http.StatusBadRequest] != 9 {
		t.Errorf("12 instances where 3 may be: got %v: %s", statuses, firstOther(answers, http.StatusCreated))
	}
	instance := ""
	for i, a := range answers {
		if a.status == http.StatusCreated {
			instance = fmt.Sprintf("i%d", i)
		} else if a.word() != "QuotaExceeded" {
			t.Errorf("beyond the quota: got %s, want QuotaExceeded", a.text)
		}
	}
	statuses, answers = atOnce(20, func(i int) answer {
		return brokers[i%2].bind(instance, fmt.Sprintf("b%d", i), fmt.Sprintf("app-%d", i), nil)
	})
	if statuses[http.StatusCreated] != 5 || statuses[http.StatusBadRequest] != 15 {
		t.Errorf("20 bindings where 5 may be: got %v: %s", statuses, firstOther(answers, http.StatusCreated))
	}
	w.check()
}
