package broker

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"airflow-identity/audit"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Whatever the bytes of a body: it is refused with a 400, or brokerapi's own
// decoder takes it, and what is read of it can be stored.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"service_id":5}`, provisionBody(), bindBody(), provisionBody() + "{}", `{"context":{"platform":5}}`,
		`{"bind_resource":null,"context":{"space_guid":"\u0000"}}`, "{\"plan_id\":\"\xff\"}", `{"app_guid":"a","bind_resource":{"app_guid":"b"}}`,
		`{"parameters":1e999999}`, ` {"context":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	refused := func(t *testing.T, err error) bool {
		if err == nil {
			return false
		}
		var a answer
		if errors.As(err, &a) && (a.status != http.StatusBadRequest || a.sentence == "" || len(a.sentence) > 1000) {
			t.Fatalf("got %d %q, want a 400 with a sentence", a.status, a.sentence)
		}
		return true
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		x := &exchange{actor: audit.Actor{Platform: "cloudfoundry"}}
		var provision domain.ProvisionDetails
		if !refused(t, decode(body, &provision)) {
			var again domain.ProvisionDetails
			if err := json.NewDecoder(strings.NewReader(string(body))).Decode(&again); err != nil {
				t.Fatalf("brokerapi would refuse what was accepted: %v", err)
			}
			if told, err := readContext(provision.RawContext, x); !refused(t, err) && strings.ContainsAny(told.OrganizationName+told.SpaceName+told.InstanceName, "\x00\n") {
				t.Fatalf("%+v cannot be stored", told)
			}
		}
		var bind domain.BindDetails
		if refused(t, decode(body, &bind)) {
			return
		}
		told, err := readContext(bind.RawContext, x)
		if refused(t, err) {
			return
		}
		if app, err := appOf(bind); !refused(t, err) && app != "" && !isID(string(app)) {
			t.Fatalf("app %q cannot be stored", app)
		}
		if space, err := spaceOf(bind, told); !refused(t, err) && space != "" && !isID(string(space)) {
			t.Fatalf("space %q cannot be stored", space)
		}
	})
}

// Whatever an originating identity says, it is refused or can be stored.
func FuzzOriginator(f *testing.F) {
	for _, seed := range []string{"", "cloudfoundry", "cloudfoundry e30=", originating("cloudfoundry", `{"user_id":"u"}`), originating("x", "null"), "  ", "a  e30="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		platform, user, ok := originator(header)
		if ok && (platform == "" || !recordable(platform, longestUser) || !printable(user, longestUser)) {
			t.Fatalf("%q, %q cannot be stored", platform, user)
		}
	})
}
