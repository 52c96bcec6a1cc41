package integration

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history is what was seen of one identity from outside: what its connection in
// Airflow held when somebody read it, what UAA answered to whom, and when the row
// said that a secret was retired. A secret is named by its generation, which its
// connection's marker tells; the secret itself is in no history.
//
// The model that judges it knows nothing of the engine. Its state is two numbers:
//
//	published   the newest secret that was seen in Airflow
//	retired     this secret and all before it are refused for good
//
// and so the secrets that may be accepted are those above retired. Its rules:
//
//	read(i)     i is not older than published, and not retired
//	retire(i)   something newer was seen in Airflow before: i < published
//	token(i)    read at most a soak ago      granted
//	            retired                      refused
//	            else                         either; refused once is refused for good
//	            no answer, read long ago     perhaps refused: the state forks
//
// The times of reading and asking belong to the operation, not to the state, so the
// first rule of token holds in every order. A token that was asked for within the
// soak and answered later than one time-out after it was held up by the machine, and
// is judged as an old one.
type seen struct {
	act    string // read, retire, token
	secret int
	// fresh: a token that must be granted.
	fresh bool
	read  time.Duration // token: when the secret was read
	asked time.Duration // token
}

// verdict is what UAA said.
type verdict string

const (
	granted    verdict = "granted"
	refused    verdict = "refused"
	unanswered verdict = "no answer"
)

type accepted struct{ published, retired int }

func (a accepted) step(did seen, said verdict) []accepted {
	switch did.act {
	case "read":
		if did.secret >= a.published && did.secret > a.retired {
			return []accepted{{did.secret, a.retired}}
		}
	case "retire":
		if did.secret < a.published {
			return []accepted{{a.published, max(a.retired, did.secret)}}
		}
	case "token":
		without := accepted{a.published, max(a.retired, did.secret)}
		switch {
		case said == granted && did.secret > a.retired:
			return []accepted{a}
		case said == refused && !did.fresh:
			return []accepted{without}
		case said == unanswered && did.fresh:
			return []accepted{a}
		case said == unanswered:
			return []accepted{a, without}
		}
	}
	return nil
}

var historyModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{accepted{}} },
	Step: func(state, input, output any) []any {
		var after []any
		for _, a := range state.(accepted).step(input.(seen), output.(verdict)) {
			after = append(after, a)
		}
		return after
	},
	Hash: func(state any) uint64 {
		a := state.(accepted)
		return uint64(a.published)<<32 | uint64(a.retired)
	},
	DescribeOperation: func(input, output any) string {
		did := input.(seen)
		if did.act != "token" {
			return fmt.Sprintf("%s(%d)", did.act, did.secret)
		}
		return fmt.Sprintf("token(%d, read %s before) %s", did.secret, (did.asked - did.read).Round(time.Millisecond), output)
	},
	DescribeState: func(state any) string {
		a := state.(accepted)
		return fmt.Sprintf("published %d, retired %d", a.published, a.retired)
	},
}

// histories collects what is seen, one history for each identity.
type histories struct {
	soak, timeout time.Duration
	began         time.Time

	mu  sync.Mutex
	all map[string][]porcupine.Operation
}

func newHistories(soak, timeout time.Duration) *histories {
	return &histories{soak: soak, timeout: timeout, began: time.Now(), all: map[string][]porcupine.Operation{}}
}

// now is the time that histories are written in.
func (h *histories) now() time.Duration { return time.Since(h.began) }

// mustBeGranted is the promise: whoever asks with a secret that it read at most a
// soak ago gets a token.
func (h *histories) mustBeGranted(read, asked, answered time.Duration) bool {
	return asked <= read+h.soak && answered <= read+h.soak+h.timeout
}

func (h *histories) record(id string, observer int, call, back time.Duration, did seen, said verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[id] = append(h.all[id], porcupine.Operation{ClientId: observer, Input: did, Output: said, Call: int64(call), Return: int64(back)})
}

// judge demands that every history is one that the model allows. It gives the number
// of operations.
func (h *histories) judge(t *testing.T, patience time.Duration) int {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	operations := 0
	deadline := time.Now().Add(patience)
	model := historyModel.ToModel()
	for id, history := range h.all {
		operations += len(history)
		switch porcupine.CheckOperationsTimeout(model, history, max(time.Until(deadline), time.Second)) {
		case porcupine.Ok:
		case porcupine.Unknown:
			t.Errorf("the history of %s was not judged within %s", id, patience)
		default:
			h.explain(t, id, history)
		}
	}
	return operations
}

// explain says what is known of a history that cannot be, and draws it.
func (h *histories) explain(t *testing.T, id string, history []porcupine.Operation) {
	t.Helper()
	model := historyModel.ToModel()
	path := filepath.Join(t.ArtifactDir(), id+".html")
	_, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		path = err.Error()
	}
	t.Errorf("the history of %s, %d operations, cannot be; drawn in %s (kept with go test -artifacts)", id, len(history), path)
	longest := 0
	for _, parts := range info.PartialLinearizations() {
		for _, part := range parts {
			longest = max(longest, len(part))
		}
	}
	t.Errorf("the longest way through it has %d of %d operations", longest, len(history))
	for _, o := range history {
		if did := o.Input.(seen); did.act == "token" && did.fresh && o.Output.(verdict) == refused {
			t.Errorf("at %s: %s", time.Duration(o.Call).Round(time.Millisecond), model.DescribeOperation(o.Input, o.Output))
		}
	}
}

// TestHistories shows that the model tells what may be from what may not.
func TestHistories(t *testing.T) {
	t.Parallel()
	const soak = 100
	type line struct {
		call, back int64
		did        seen
		said       verdict
	}
	read := func(at int64, secret int) line { return line{at, at + 1, seen{act: "read", secret: secret}, ""} }
	retire := func(at int64, secret int) line { return line{at, at + 1, seen{act: "retire", secret: secret}, ""} }
	h := newHistories(soak, 10)
	token := func(at int64, secret int, readAt time.Duration, said verdict) line {
		fresh := h.mustBeGranted(readAt, time.Duration(at), time.Duration(at+1))
		return line{at, at + 1, seen{act: "token", secret: secret, fresh: fresh, read: readAt, asked: time.Duration(at)}, said}
	}
	for _, row := range []struct {
		name  string
		lines []line
		want  bool
	}{
		{"a rotation", []line{read(0, 1), token(10, 1, 0, granted), read(50, 2), token(60, 1, 0, granted), retire(200, 1), token(210, 1, 0, refused), token(220, 2, 50, granted)}, true},
		{"refused within the soak", []line{read(0, 1), token(90, 1, 0, refused)}, false},
		{"refused within the soak, though retired", []line{read(0, 1), read(10, 2), retire(20, 1), token(90, 1, 0, refused)}, false},
		{"granted after it was retired", []line{read(0, 1), read(10, 2), retire(200, 1), token(300, 1, 0, granted)}, false},
		{"granted while it is retired", []line{read(0, 1), read(10, 2), {200, 400, seen{act: "retire", secret: 1}, ""}, token(300, 1, 0, granted)}, true},
		{"refused after the soak", []line{read(0, 1), token(150, 1, 0, refused)}, true},
		{"granted after the soak", []line{read(0, 1), token(150, 1, 0, granted)}, true},
		{"refused, and then granted", []line{read(0, 1), token(150, 1, 0, refused), token(160, 1, 0, granted)}, false},
		{"no answer, and then either", []line{read(0, 1), token(150, 1, 0, unanswered), token(160, 1, 0, granted), token(170, 1, 0, refused)}, true},
		{"an older one in Airflow", []line{read(0, 1), read(10, 2), read(20, 1)}, false},
		{"a retired one in Airflow", []line{read(0, 1), token(150, 1, 0, refused), read(160, 1)}, false},
		{"retired before the newer was published", []line{read(0, 1), retire(10, 1), read(20, 2)}, false},
	} {
		var history []porcupine.Operation
		for _, l := range row.lines {
			history = append(history, porcupine.Operation{Input: l.did, Output: l.said, Call: l.call, Return: l.back})
		}
		if got := porcupine.CheckOperations(historyModel.ToModel(), history); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
