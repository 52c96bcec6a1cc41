package cloudcontroller

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newStub(t)
	p := s.platform(t, func(c *Config) { c.UserGUID = "u" })
	p.ok(p.create("i"))
	s.on(CallBind, 500, `{}`)
	if err := p.BindService(ctx, "app", "i", Bind{}); err == nil {
		t.Fatal("500 was taken for a success")
	}
	p.work() // the mitigation

	ids := map[string]bool{}
	for _, e := range p.Exchanges() {
		h := e.Request.Header
		if user, password, _ := e.Request.BasicAuth(); user != "user" || password != "pass" {
			t.Errorf("%s: no login", e.Call)
		}
		if h.Get("X-Broker-API-Version") != "2.15" || h.Get("Accept") != "application/json" || h.Get(headerInfoLocation) != "api.sys.example.com/v2/info" {
			t.Errorf("%s: headers are %v", e.Call, h)
		}
		if id := h.Get(headerRequest); id == "" || ids[id] || h.Get(headerVcapRequest) != id {
			t.Errorf("%s: request id %q is not new", e.Call, id)
		} else {
			ids[id] = true
		}
		platform, encoded, _ := strings.Cut(h.Get(headerOriginating), " ")
		who, err := base64.StdEncoding.DecodeString(encoded)
		nobody := e.Call == CallCatalog || e.Call == CallUnbind
		if nobody != (platform == "") || !nobody && (platform != "cloudfoundry" || err != nil || string(who) != `{"user_id":"u"}`) {
			t.Errorf("%s: originating identity is %q", e.Call, h.Get(headerOriginating))
		}
		if e.Call == CallUnbind && (e.Request.URL.Query().Get("plan_id") != "p1" || e.Request.URL.Query().Get("service_id") != "s" ||
			e.Request.URL.Query().Get("accepts_incomplete") != "true" || len(e.RequestBody) != 0) {
			t.Errorf("a delete asks by %s and body %q", e.Request.URL.RawQuery, e.RequestBody)
		}
	}
}

// TestVersions: what is said depends on the version.
func TestVersions(t *testing.T) {
	t.Parallel()
	for i, version := range Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := newStub(t)
			p := s.platform(t, func(c *Config) {
				c.APIVersion, c.Annotations = version, map[string]string{"a.b/c": "told", "c": "kept"}
			})
			p.ok(p.create("i"))
			p.ok(p.BindService(ctx, "app", "i", Bind{}))
			p.ok(p.RenameService(ctx, "i", "j"))
			_, fetchErr := p.ServiceParameters(ctx, "j")
			byCall := map[Call]Exchange{}
			for _, e := range p.Exchanges() {
				byCall[e.Call] = e
			}
			var provision struct{ Context object }
			if err := json.Unmarshal(byCall[CallProvision].RequestBody, &provision); err != nil {
				t.Fatal(err)
			}
			annotations, annotated := provision.Context["space_annotations"].(object)
			for _, feature := range []struct {
				name  string
				since int
				there bool
			}{
				{"GET", 1, fetchErr == nil},
				{"asynchronous binding", 1, byCall[CallBind].Request.URL.Query().Get("accepts_incomplete") == "true"},
				{"request id", 2, byCall[CallBind].Request.Header.Get(headerRequest) != ""},
				{"told of a rename", 2, s.asked(CallUpdate) == 1},
				{"names", 2, provision.Context["instance_name"] == "i"},
				{"annotations", 3, annotated && annotations["a.b/c"] == "told" && annotations["c"] == nil},
				{"hints", 3, byCall[CallFetchInstance].Request != nil && byCall[CallFetchInstance].Request.URL.Query().Get("plan_id") == "p1"},
			} {
				if feature.there != (i >= feature.since) {
					t.Errorf("%s: %t", feature.name, feature.there)
				}
			}
			if p.shown("j") == "" {
				t.Error("the rename was lost")
			}
		})
	}
	if _, err := New(Config{URL: "http://x", User: "u", Password: "p", APIVersion: "2.12"}); err == nil {
		t.Error("2.12 was accepted")
	}
}

// TestRedirects: method, body and login survive them, but the login goes to no
// other host.
func TestRedirects(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	for _, status := range []int{301, 302, 307, 308} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/moved") {
				http.StripPrefix("/moved", s).ServeHTTP(w, r)
				return
			}
			w.Header().Set("Location", "/moved"+r.URL.RequestURI())
			w.WriteHeader(status)
		}))
		p := s.platform(t, func(c *Config) { c.URL = front.URL })
		p.ok(p.create("i"))
		last := p.Exchanges()[len(p.Exchanges())-1]
		if _, _, loggedIn := last.Request.BasicAuth(); last.Request.Method != http.MethodPut || len(last.RequestBody) == 0 || !loggedIn {
			t.Errorf("%d: went on as %s with %d bytes, login %t", status, last.Request.Method, len(last.RequestBody), loggedIn)
		}
		front.Close()
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", s.URL+r.URL.RequestURI())
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	p := s.platform(t, func(c *Config) { c.URL = elsewhere.URL })
	if _, _, loggedIn := p.Exchanges()[1].Request.BasicAuth(); loggedIn {
		t.Error("the login went to another host")
	}
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
	}))
	defer loop.Close()
	p = s.unregistered(t, func(c *Config) { c.URL = loop.URL })
	if got := kindOf(p.CreateServiceBroker(t.Context())); got != HTTPRequestError {
		t.Errorf("a loop: got %s, want %s", got, HTTPRequestError)
	}
}

// TestUpdateSaysParameters: an empty object, where nobody gave any. A broker that
// takes it for the new parameters loses the old ones at a rename.
func TestUpdateSaysParameters(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	p := s.platform(t)
	p.ok(p.create("i"))
	p.ok(p.RenameService(t.Context(), "i", "j"))
	var body object
	last := p.Exchanges()[len(p.Exchanges())-1]
	if err := json.Unmarshal(last.RequestBody, &body); err != nil {
		t.Fatal(err)
	}
	previous, _ := body["previous_values"].(object)
	told, _ := body["context"].(object)
	if parameters, there := body["parameters"].(object); !there || len(parameters) != 0 || body["plan_id"] != "p1" || previous["plan_id"] != "p1" || told["instance_name"] != "j" {
		t.Errorf("a rename says %s", last.RequestBody)
	}
}

func TestWall(t *testing.T) {
	t.Parallel()
	before := Wall{}.Now()
	if err := (Wall{}).Sleep(t.Context(), time.Millisecond); err != nil || !(Wall{}).Now().After(before) {
		t.Errorf("a millisecond did not pass: %v", err)
	}
}
