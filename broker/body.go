package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// largestBody is far more than any request of a platform has; mostDiscarded is
// how much of what is too large is read, to be able to say so.
const (
	largestBody   = 1 << 20
	mostDiscarded = 8 << 20
)

// checkProvision, checkUpdate, checkBind and checkDelete look at what brokerapi
// would otherwise answer by itself, with a status that makes Cloud Controller
// clean up after nothing or with a text that helps nobody.
func (b *broker) checkProvision(r *http.Request) error {
	var details domain.ProvisionDetails
	if err := readBody(r, &details); err != nil {
		return err
	}
	if err := present(
		field{"service_id", details.ServiceID}, field{"plan_id", details.PlanID},
		field{"organization_guid", details.OrganizationGUID}, field{"space_guid", details.SpaceGUID},
	); err != nil {
		return err
	}
	return b.offered(details.ServiceID, details.PlanID)
}

func (b *broker) checkUpdate(r *http.Request) error {
	var details domain.UpdateDetails
	if err := readBody(r, &details); err != nil {
		return err
	}
	if err := present(field{"service_id", details.ServiceID}); err != nil {
		return err
	}
	if details.PlanID == "" {
		return b.serves(details.ServiceID)
	}
	return b.offered(details.ServiceID, details.PlanID)
}

func (b *broker) checkBind(r *http.Request) error {
	var details domain.BindDetails
	if err := readBody(r, &details); err != nil {
		return err
	}
	if err := present(field{"service_id", details.ServiceID}, field{"plan_id", details.PlanID}); err != nil {
		return err
	}
	return b.offered(details.ServiceID, details.PlanID)
}

func (b *broker) checkDelete(r *http.Request) error {
	query := r.URL.Query()
	return present(field{"service_id", query.Get("service_id")}, field{"plan_id", query.Get("plan_id")})
}

// offered tells whether a plan is one of this broker's, and refuses if not.
func (b *broker) offered(service, plan string) error {
	if err := b.serves(service); err != nil {
		return err
	}
	if _, ok := b.catalog.Plan(identity.PlanID(plan)); !ok {
		return planUnknown("plan_id is not that of a plan in the catalog, which has " + strings.Join(b.catalog.PlanNames(), ", ") + "; fetch the catalog again with cf update-service-broker")
	}
	return nil
}

func (b *broker) serves(service string) error {
	if service != b.catalog.OfferingID() {
		return answer{http.StatusBadRequest, "ServiceUnknown", "service_id is not that of this broker's offering; fetch the catalog again with cf update-service-broker"}
	}
	return nil
}

func planUnknown(sentence string) answer {
	return answer{http.StatusBadRequest, "PlanUnknown", sentence}
}

// field is a field of a request that must be there.
type field struct{ name, value string }

func present(fields ...field) error {
	var missing []string
	for _, f := range fields {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return requestInvalid(missing[0] + " is missing")
	default:
		return requestInvalid(strings.Join(missing, ", ") + " are missing")
	}
}

// readBody decodes a body as brokerapi will, and puts it back for it.
func readBody(r *http.Request, into any) error {
	if err := contentTypeOf(r); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, largestBody+1))
	switch {
	case len(body) > largestBody:
		// A client that is still sending would see its connection break, not
		// the answer.
		_, _ = io.CopyN(io.Discard, r.Body, mostDiscarded)
		return answer{http.StatusRequestEntityTooLarge, "BodyTooLarge", fmt.Sprintf("the body is larger than %d MiB", largestBody>>20)}
	case err != nil:
		return requestInvalid("the body could not be read to its end")
	}
	if err := decode(body, into); err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	// On a form brokerapi would read the body for its fields and find none left.
	r.Header.Set("Content-Type", "application/json")
	return nil
}

// contentTypeOf takes JSON, and what a client says that says nothing: no type,
// or curl's. A browser cannot send a PUT or PATCH across sites without being
// asked first, whatever the type, so nothing is lost by it.
func contentTypeOf(r *http.Request) error {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil || kind != "application/json" && kind != "application/x-www-form-urlencoded" {
		return requestInvalid("the body must be JSON: send it with the header Content-Type: application/json")
	}
	return nil
}

// decode reads exactly one JSON object. Its errors name a field or a place, and
// nothing of what is there.
func decode(body []byte, into any) error {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return requestInvalid("the body is empty: it must be a JSON object")
	}
	if !utf8.Valid(body) {
		return requestInvalid("the body is not UTF-8")
	}
	if body[0] != '{' {
		return requestInvalid("the body must be a JSON object")
	}
	err := json.Unmarshal(body, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return requestInvalid(fmt.Sprintf("the body is not one valid JSON object: it breaks off or goes wrong at byte %d", syntax.Offset))
	case errors.As(err, &kind) && kind.Field != "":
		return requestInvalid(kind.Field + " is of the wrong type; OSB says which type each field has")
	default:
		return requestInvalid("the body is not a JSON object of the kind that OSB asks for here")
	}
}
