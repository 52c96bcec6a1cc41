package integration

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a small sequential broker: what the real one answers to a sequence of
// requests must be explained by it. It knows rules, and nothing of rows.
type model struct {
	instances map[string]*modelInstance
	bindings  map[string]*modelBinding
	// names are the chosen connection ids. The default ones never collide.
	names map[string]*modelName
	clock int // how many bindings were made, which is their age
}

type modelInstance struct {
	side    string // whose platform's
	ceiling []string
}

type modelBinding struct {
	instance, app, variant string
	identity               *modelIdentity // nil: no connection
	age                    int
}

// modelIdentity is what may be joined.
type modelIdentity struct {
	asked   []string // nil: nothing
	name    string   // "" for a default one
	members int
}

type modelName struct {
	identity *modelIdentity
	instance string
	// side and app are the last holder's, who gets it again before others.
	side, app string
}

// variants are the ways to bind.
var variants = map[string]struct {
	parameters object
	asked      []string
	name       string
	airflow    bool
}{
	"default":     {nil, nil, "", true},
	"read":        {read, []string{"orders.read"}, "", true},
	"write":       {object{"authorities": []string{"orders.write"}}, []string{"orders.write"}, "", true},
	"named x":     {object{"connection_id": "orders_x"}, nil, "orders_x", true},
	"named y":     {object{"connection_id": "orders_y", "authorities": []string{"orders.read"}}, []string{"orders.read"}, "orders_y", true},
	"with client": {object{"app_client": true, "expires_in": "30m"}, nil, "", true},
	"client only": {object{"airflow": false, "app_client": true, "expires_in": "30m"}, nil, "", false},
}

func newModel() *model {
	return &model{instances: map[string]*modelInstance{}, bindings: map[string]*modelBinding{}, names: map[string]*modelName{}}
}

func (m *model) provision(instance, side string, ceiling []string) int {
	existing := m.instances[instance]
	switch {
	case existing == nil:
		m.instances[instance] = &modelInstance{side, ceiling}
		return http.StatusCreated
	case existing.side == side && slices.Equal(existing.ceiling, ceiling):
		return http.StatusOK
	default:
		return http.StatusConflict
	}
}

func (m *model) bind(instance, binding, app, side, variant string) int {
	i := m.instances[instance]
	if i == nil {
		return http.StatusNotFound
	}
	if i.side != side {
		return http.StatusBadRequest
	}
	if b := m.bindings[binding]; b != nil {
		if b.instance == instance && b.app == app && b.variant == variant {
			return http.StatusOK
		}
		return http.StatusConflict
	}
	v := variants[variant]
	for _, authority := range v.asked {
		if i.ceiling != nil && !slices.Contains(i.ceiling, authority) {
			return http.StatusBadRequest
		}
	}
	b := &modelBinding{instance: instance, app: app, variant: variant, age: m.clock}
	if v.airflow {
		if b.identity = m.connect(instance, app, side, v.name, v.asked); b.identity == nil {
			return http.StatusBadRequest
		}
		b.identity.members++
	}
	m.clock++
	m.bindings[binding] = b
	return http.StatusCreated
}

// connect finds or makes the identity of a new binding; nil: its id is taken.
func (m *model) connect(instance, app, side, name string, asked []string) *modelIdentity {
	join := func(i *modelIdentity) *modelIdentity {
		if (i.asked == nil) != (asked == nil) || !slices.Equal(i.asked, asked) {
			return nil
		}
		return i
	}
	if name == "" {
		if oldest := m.oldestOf(instance, app); oldest != nil {
			return join(oldest.identity)
		}
		return &modelIdentity{asked: asked}
	}
	n := m.names[name]
	if n == nil {
		n = &modelName{}
		m.names[name] = n
	}
	switch {
	case n.identity != nil && n.instance == instance:
		return join(n.identity)
	case n.identity != nil:
		return nil
	case n.app != "" && n.side != side:
		return nil
	}
	n.identity, n.instance, n.side, n.app = &modelIdentity{asked: asked, name: name}, instance, side, app+"/"+instance
	return n.identity
}

func (m *model) oldestOf(instance, app string) *modelBinding {
	var oldest *modelBinding
	for _, b := range m.bindings {
		if app != "" && b.instance == instance && b.app == app && b.identity != nil && (oldest == nil || b.age < oldest.age) {
			oldest = b
		}
	}
	return oldest
}

func (m *model) unbind(instance, binding string) int {
	b := m.bindings[binding]
	if b == nil || b.instance != instance {
		return http.StatusGone
	}
	delete(m.bindings, binding)
	if b.identity != nil {
		if b.identity.members--; b.identity.members == 0 && b.identity.name != "" {
			m.names[b.identity.name].identity = nil
		}
	}
	return http.StatusOK
}

func (m *model) deprovision(instance string) int {
	if m.instances[instance] == nil {
		return http.StatusGone
	}
	for guid, b := range m.bindings {
		if b.instance == instance {
			m.unbind(instance, guid)
		}
	}
	delete(m.instances, instance)
	return http.StatusOK
}

func (m *model) update(instance string, ceiling []string) int {
	i := m.instances[instance]
	if i == nil {
		return http.StatusNotFound
	}
	i.ceiling = ceiling
	return http.StatusOK
}

func (m *model) get(instance, binding string) int {
	b := m.bindings[binding]
	if m.instances[instance] == nil || b == nil || b.instance != instance {
		return http.StatusNotFound
	}
	return http.StatusOK
}

// spaces of the two platforms' clients.
var spaces = map[string]string{"north": space, "south": "space-guid-2"}

func (p *platform) from(side string, body object) object {
	text, err := json.Marshal(body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	var moved object
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte(`"`+space+`"`), []byte(`"`+spaces[side]+`"`)), &moved); err != nil {
		p.w.t.Fatal(err)
	}
	return moved
}

// TestSequencesOfVerbs sends random sequences of verbs, from clients of two spaces
// through two brokers, with jumps of the clock; after each step the whole world
// holds, and the answer is the model's.
func TestSequencesOfVerbs(t *testing.T) {
	t.Parallel()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := flag.Set("rapid.checks", "15"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) { sequence(t, rt) })
}

func sequence(t *testing.T, rt *rapid.T) {
	w := newWorld(t, options{timeout: 5 * time.Second, budget: 20 * time.Second})
	brokers := []*process{w.broker(), w.broker()}
	defer func() {
		for _, b := range brokers {
			b.stop()
		}
	}()
	m := newModel()
	sides := rapid.SampledFrom([]string{"north", "south"})
	instances := rapid.SampledFrom([]string{"i1", "i2", "i3"})
	bindings := rapid.SampledFrom([]string{"b1", "b2", "b3", "b4", "b5"})
	apps := rapid.SampledFrom([]string{"", "app-1", "app-2"})
	ways := rapid.SampledFrom([]string{"default", "read", "write", "named x", "named y", "with client", "client only"})
	ceilings := rapid.SampledFrom([][]string{nil, {"orders.read"}, {"orders.read", "orders.write"}})

	for range rapid.IntRange(1, 25).Draw(rt, "steps") {
		p := brokers[rapid.IntRange(0, 1).Draw(rt, "broker")].platform
		instance, binding := instances.Draw(rt, "instance"), bindings.Draw(rt, "binding")
		var (
			a      answer
			status int
			step   string
		)
		switch verb := rapid.SampledFrom([]string{"provision", "bind", "bind", "bind", "unbind", "deprovision", "update", "get", "clock"}).Draw(rt, "verb"); verb {
		case "provision":
			side, ceiling := sides.Draw(rt, "side"), ceilings.Draw(rt, "ceiling")
			step = fmt.Sprintf("%s provisions %s %v", side, instance, ceiling)
			a = p.send(http.MethodPut, "/v2/service_instances/"+instance, p.from(side, p.provisionBody(ceilingOf(ceiling))))
			status = m.provision(instance, side, ceiling)
		case "bind":
			side, app, way := sides.Draw(rt, "side"), apps.Draw(rt, "app"), ways.Draw(rt, "way")
			if app != "" {
				app = side + "-" + app
			}
			step = fmt.Sprintf("%s binds %s %s for %q: %s", side, instance, binding, app, way)
			a = p.send(http.MethodPut, bindingPath(instance, binding), p.from(side, p.bindBody(app, variants[way].parameters)))
			status = m.bind(instance, binding, app, side, way)
		case "unbind":
			step = fmt.Sprintf("unbind %s %s", instance, binding)
			a, status = p.unbind(instance, binding), m.unbind(instance, binding)
		case "deprovision":
			step = "deprovision " + instance
			a, status = p.deprovision(instance), m.deprovision(instance)
		case "update":
			ceiling := []string{"orders.read"}
			step = fmt.Sprintf("update %s to %v", instance, ceiling)
			a, status = p.update(instance, object{"parameters": ceilingOf(ceiling)}), m.update(instance, ceiling)
		case "get":
			step = fmt.Sprintf("get %s %s", instance, binding)
			a, status = p.get(instance, binding), m.get(instance, binding)
		case "clock":
			w.advance(40 * time.Minute)
			rt.Log("the clock jumps by 40 minutes")
			continue
		}
		rt.Logf("%s: %d", step, a.status)
		if a.err != nil || a.status != status {
			rt.Fatalf("%s: got %d %s %v, want %d", step, a.status, a.text, a.err, status)
		}
		if problems := w.problems(); len(problems) > 0 {
			rt.Fatalf("after %s: %q", step, problems)
		}
	}
}

func ceilingOf(ceiling []string) object {
	if ceiling == nil {
		return nil
	}
	return object{"authorities": ceiling}
}
