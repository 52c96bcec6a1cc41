package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"airflow-identity/integration/standin/airflow"
	"airflow-identity/integration/standin/uaa"
)

// layer stands before a stand-in and breaks one of its rules. next asks the stand-in.
type layer func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply

// reply is an answer that can be changed.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// with gives a reply with another body.
func (r reply) with(status int, body any) reply {
	text, ready := body.(string)
	if !ready {
		encoded, _ := json.Marshal(body)
		text = string(encoded)
	}
	return reply{status: status, header: r.header, body: []byte(text)}
}

// edited gives a reply with keys of its object changed.
func (r reply) edited(change func(object map[string]any)) reply {
	var object map[string]any
	if json.Unmarshal(r.body, &object) != nil {
		return r
	}
	change(object)
	return r.with(r.status, object)
}

type broken struct {
	transport http.RoundTripper
	layer     layer
}

func (b broken) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	got := b.layer(r, sent, func(r *http.Request, body []byte) reply {
		forwarded := r.Clone(r.Context())
		forwarded.Body, forwarded.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		response, err := b.transport.RoundTrip(forwarded)
		if err != nil {
			return reply{err: err}
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return reply{status: response.StatusCode, header: response.Header, body: text, err: err}
	})
	if got.err != nil {
		return nil, got.err
	}
	if got.header == nil {
		got.header = http.Header{}
	}
	return &http.Response{
		StatusCode: got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader(got.body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// changes tells the mode of a change of a client's secret.
func changes(r *http.Request, body []byte) string {
	var sent struct {
		Mode string `json:"changeMode"`
	}
	if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/secret") || json.Unmarshal(body, &sent) != nil {
		return ""
	}
	return sent.Mode
}

const isDone = `{"status":"ok","message":"Secret is changed"}`

// asks tells of a request for a token of a client that the suite has made.
func asks(r *http.Request, body []byte) (form url.Values, yes bool) {
	form, err := url.ParseQuery(string(body))
	return form, err == nil && strings.HasSuffix(r.URL.Path, "/oauth/token") && strings.HasPrefix(form.Get("client_id"), "contract-")
}

func isOne(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/oauth/clients/contract-") && !strings.HasSuffix(r.URL.Path, "/secret") ||
		strings.Contains(r.URL.Path, "/connections/")
}

// rewritten gives a body with keys changed.
func rewritten(body []byte, change func(object map[string]any)) []byte {
	return reply{body: body}.edited(change).body
}

// afterAdd keeps a layer from acting before a client has got a second secret.
func afterAdd(mode string, breaks func(reply) reply) layer {
	var (
		mu    sync.Mutex
		added = map[string]bool{}
	)
	return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
		mu.Lock()
		defer mu.Unlock()
		is := changes(r, body)
		two := added[r.URL.Path]
		if is == mode && two {
			return breaks(reply{})
		}
		got := next(r, body)
		if is == "ADD" && got.status == http.StatusOK {
			added[r.URL.Path] = true
		}
		return got
	}
}

// rules are those of the stand-ins that are broken on purpose, and the cases that must
// notice: these and no others.
var rules = []struct {
	suite, rule string
	layer       func() layer
	notices     []string
}{
	{SuiteUAA, "DELETE keeps the older secret", func() layer {
		return afterAdd("DELETE", func(r reply) reply { return r.with(200, isDone) })
	}, []string{"DELETE drops the older of two secrets"}},
	{SuiteUAA, "UPDATE keeps what is there", func() layer {
		return afterAdd("UPDATE", func(r reply) reply { return r.with(200, isDone) })
	}, []string{"UPDATE puts one secret in the place of two"}},
	{SuiteUAA, "ADD takes a third secret", func() layer {
		return afterAdd("ADD", func(r reply) reply { return r.with(200, isDone) })
	}, []string{"a third secret is refused with 400 and UAA's words for it"}},
	{SuiteUAA, "an id that is taken is a 400", on("POST", "", func(got reply) reply {
		if got.status == http.StatusConflict {
			got.status = http.StatusBadRequest
		}
		return got
	}), []string{"an id that is taken is refused with 409 and a JSON error"}},
	{SuiteUAA, "a create answers the secret", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			var sent struct {
				Secret string `json:"client_secret"`
			}
			_ = json.Unmarshal(body, &sent) // forms are none
			got := next(r, body)
			if r.Method == http.MethodPost && got.status == http.StatusCreated {
				return got.edited(func(o map[string]any) { o["client_secret"] = sent.Secret })
			}
			return got
		}
	}, []string{"a client is made with 201, and answered as it was asked for, without its secret"}},
	{SuiteUAA, "a client that is not there is a 404 with a body", on("GET", "/oauth/clients/", func(got reply) reply {
		if got.status == http.StatusNotFound {
			return got.with(404, `{"error":"not_found"}`)
		}
		return got
	}), []string{"reading a client that is not there is 404 with an empty body"}},
	{SuiteUAA, "the restricted path restricts nothing", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodPost {
				r = r.Clone(r.Context())
				r.URL.Path = strings.Replace(r.URL.Path, "/restricted", "", 1)
			}
			return next(r, body)
		}
	}, []string{"UAA's own authorities are refused on the restricted path with 400"}},
	{SuiteUAA, "uaa.none is taken for a list that is left out", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodPut && strings.Contains(string(body), `"authorities":["uaa.none"]`) {
				body = rewritten(body, func(o map[string]any) { delete(o, "authorities") })
			}
			return next(r, body)
		}
	}, []string{"an update to uaa.none leaves nothing"}},
	{SuiteUAA, "tokens keep what was taken away", on("POST", "/check_token", func(got reply) reply {
		if strings.Contains(string(got.body), "are missing") {
			return got.with(200, `{}`)
		}
		return got
	}), []string{"an authority that is taken away ends the tokens that say it"}},
	{SuiteUAA, "half of the additional information is kept", on("PUT", "/restricted/", func(got reply) reply {
		return got.edited(func(o map[string]any) { delete(o, "contract_broker") })
	}), []string{"additional information is kept and shown"}},
	{SuiteUAA, "less additional information has room", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodPost && len(body) > 2000 {
				return reply{}.with(500, `{}`)
			}
			return next(r, body)
		}
	}, []string{"3,500 bytes of additional information are kept"}},
	{SuiteUAA, "an UPDATE to the same secret does nothing", func() layer {
		var (
			mu   sync.Mutex
			made = map[string]bool{} // secrets
		)
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			var sent map[string]any
			_ = json.Unmarshal(body, &sent) // forms are none
			mu.Lock()
			made[textOf(sent["client_secret"])] = true
			same := changes(r, body) == "UPDATE" && made[textOf(sent["secret"])]
			mu.Unlock()
			if same {
				return reply{}.with(200, isDone)
			}
			return next(r, body)
		}
	}, []string{"UPDATE ends the tokens so far"}},
	{SuiteUAA, "an unknown client is told apart from a wrong secret", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if form, yes := asks(r, body); yes && strings.HasSuffix(form.Get("client_id"), "-none") {
				return reply{}.with(404, `{"error":"unauthorized"}`)
			}
			return next(r, body)
		}
	}, []string{"a client that is not there is refused as a wrong secret is"}},
	{SuiteUAA, "the grant is looked at before the secret", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if form, yes := asks(r, body); yes && form.Get("grant_type") != "client_credentials" {
				return reply{}.with(401, `{"error":"invalid_client","error_description":"Unauthorized grant type: refresh_token"}`)
			}
			return next(r, body)
		}
	}, []string{"a grant that a client does not have is refused after its secret has passed"}},
	{SuiteUAA, "the life of tokens is UAA's own", onToken(func(o map[string]any) { o["expires_in"] = 43199 }),
		[]string{"its tokens live as long as was asked"}},
	{SuiteUAA, "a token's answer names no authorities", onToken(func(o map[string]any) { delete(o, "scope") }),
		[]string{"a token's answer names the authorities that it has"}},
	{SuiteUAA, "a revocation does nothing", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if strings.Contains(r.URL.Path, "/revoke/") && !strings.HasSuffix(r.URL.Path, "-none") {
				return reply{status: 200}
			}
			return next(r, body)
		}
	}, []string{"revoking is answered with 200, and ends the tokens so far"}},
	{SuiteUAA, "totalResults is the number shown", on("GET", "/oauth/clients", func(got reply) reply {
		return got.edited(func(o map[string]any) {
			if rows, list := o["resources"].([]any); list {
				o["totalResults"] = len(rows)
			}
		})
	}), []string{"a list shows the page that was asked for, and how many there are"}},

	{SuiteAirflowV2, "redaction is dropped", func() layer {
		var (
			mu   sync.Mutex
			sent = map[string]any{}
		)
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			var posted map[string]any
			mu.Lock()
			defer mu.Unlock()
			if json.Unmarshal(body, &posted) == nil && posted["connection_id"] != nil {
				sent[textOf(posted["connection_id"])] = posted["password"]
			}
			got := next(r, body)
			if r.Method == http.MethodGet && isOne(r) {
				return got.edited(func(o map[string]any) { o["password"] = sent[textOf(o["connection_id"])] })
			}
			return got
		}
	}, []string{"no answer shows a password"}},
	{SuiteAirflowV2, "an id that is taken is written over", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			got := next(r, body)
			if r.Method == http.MethodPost && got.status == http.StatusConflict {
				return got.with(201, string(body))
			}
			return got
		}
	}, []string{"an id that is taken is refused with 409 and a detail"}},
	{SuiteAirflowV2, "a mask with a key for each field is ignored", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodPatch && len(r.URL.Query()["update_mask"]) > 1 {
				r = r.Clone(r.Context())
				r.URL.RawQuery = "update_mask=none"
			}
			return next(r, body)
		}
	}, []string{
		"a PATCH with a key update_mask for each field writes them, and null clears",
		"a PATCH is answered with the new description",
	}},
	{SuiteAirflowV2, "null clears no port", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodPatch {
				body = rewritten(body, func(o map[string]any) { delete(o, "port") })
			}
			return next(r, body)
		}
	}, []string{"a PATCH with a key update_mask for each field writes them, and null clears"}},
	{SuiteAirflowV2, "a PATCH clears extra", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if r.Method == http.MethodPatch {
				r = r.Clone(r.Context())
				r.URL.RawQuery += "&update_mask=extra"
			}
			return next(r, body)
		}
	}, []string{"a PATCH leaves extra alone where the mask does not name it"}},
	{SuiteAirflowV2, "a connection is made with 200", on("POST", "/connections", func(got reply) reply {
		if got.status == http.StatusCreated {
			got.status = http.StatusOK
		}
		return got
	}), []string{"a connection is made with 201, and answered as it was sent"}},
	{SuiteAirflowV2, "deleting what is not there is 204", on("DELETE", "/api/v2/connections/", func(got reply) reply {
		if got.status == http.StatusNotFound {
			return got.with(204, "")
		}
		return got
	}), []string{"deleting a connection that is not there is 404 with a detail about it"}},
	{SuiteAirflowV2, "a connection that is not there is told as a path is", on("GET", "/api/v2/connections/", func(got reply) reply {
		if got.status == http.StatusNotFound {
			return got.with(404, `{"detail":"Not Found"}`)
		}
		return got
	}), []string{"reading a connection that is not there is 404 with a detail about it"}},
	{SuiteAirflowV2, "a list ignores offset", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			r = r.Clone(r.Context())
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "offset=", "ignored=", 1)
			return next(r, body)
		}
	}, []string{"a list has pages in the order of ids, and says how many there are"}},
	{SuiteAirflowV2, "the path of Airflow 2 is one like any other", on("GET", "/api/v1/", func(got reply) reply {
		return got.with(404, `{"error":"API route not found"}`)
	}), []string{"the path of Airflow 2 says that it was removed"}},

	{SuiteAirflowV1, "an id that is taken is a page", on("POST", "/connections", func(got reply) reply {
		if got.status == http.StatusConflict {
			return got.with(409, "<html></html>")
		}
		return got
	}), []string{"an id that is taken is refused with 409 and a detail"}},
	{SuiteAirflowV1, "a mask with commas is one name", func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			if mask := r.URL.Query()["update_mask"]; r.Method == http.MethodPatch && len(mask) == 1 && strings.Contains(mask[0], ",") {
				r = r.Clone(r.Context())
				r.URL.RawQuery = "update_mask=login"
			}
			return next(r, body)
		}
	}, []string{
		"a PATCH with commas in its update_mask writes each field, and null clears",
		"a PATCH is answered with the new description",
	}},
	{SuiteAirflowV1, "the API of Airflow 3 is there too", on("GET", "/api/v2/version", func(got reply) reply {
		return got.with(200, `{"version":"3.3.2"}`)
	}), []string{"the path of Airflow 3 tells no version"}},
}

// on changes the answers of calls with a method, below a path.
func on(method, path string, change func(reply) reply) func() layer {
	return func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			got := next(r, body)
			if r.Method == method && strings.Contains(r.URL.Path, path) && got.err == nil {
				return change(got)
			}
			return got
		}
	}
}

// onToken changes the answers with a token of a client that the suite has made.
func onToken(change func(object map[string]any)) func() layer {
	return func() layer {
		return func(r *http.Request, body []byte, next func(*http.Request, []byte) reply) reply {
			got := next(r, body)
			if _, yes := asks(r, body); yes && got.status == http.StatusOK {
				return got.edited(change)
			}
			return got
		}
	}
}

// A suite is worth what it notices.
func TestABrokenRuleIsNoticed(t *testing.T) {
	t.Parallel()
	for _, test := range rules {
		t.Run(test.suite+": "+test.rule, func(t *testing.T) {
			t.Parallel()
			var run func(context.Context) (Report, error)
			switch test.suite {
			case SuiteUAA:
				_, target := ownUAA(t, uaa.Config{})
				target.Transport = broken{target.Transport, test.layer()}
				run = target.Run
			case SuiteAirflowV2:
				_, target := ownAirflow(t, airflow.Version3, "op")
				target.Transport = broken{target.Transport, test.layer()}
				run = target.RunV2
			default:
				_, target := ownAirflow(t, airflow.Version2, "op")
				target.Transport = broken{target.Transport, test.layer()}
				run = target.RunV1
			}

			report, err := run(t.Context())

			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				want, differs := differences[report.Suite][f.Case]
				switch {
				case slices.Contains(test.notices, f.Case):
					want = Broken
				case !differs:
					want = Holds
				}
				if f.Verdict != want {
					t.Errorf("%s: %s %s; want: %s", f.Case, f.Verdict, f.Seen, want)
				}
			}
			if report.Count(Broken) != len(test.notices) || report.Sound() {
				t.Errorf("got %d cases that do not hold, want %q", report.Count(Broken), test.notices)
			}
		})
	}
}
