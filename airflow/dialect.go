package airflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

// API is a version of Airflow's REST API.
type API string

const (
	// Auto is whichever Airflow has. Where the login does not settle it, Airflow is
	// asked, before the first call that needs to know.
	Auto API = "auto"
	V1   API = "v1" // Airflow 2
	V2   API = "v2" // Airflow 3
)

// dialect is what differs between the versions of Airflow's REST API.
type dialect struct {
	api         API
	version     string // path of the version, which is open to everybody
	has         func(major int) bool
	connections string // path of the list of connections
	created     int    // what a POST is answered with
	teams       bool   // a connection may have a team, in some versions
	// page is the query of the list for the connections from an offset on, in the
	// order of their ids.
	page func(offset int) string
	// mask is the query of a PATCH that writes these fields and no others.
	mask func(fields []string) string
	// refuses tells whether an answer of Airflow's own refuses our login, and
	// not the call. What can mean either is taken for our login.
	refuses func(status int, detail string) bool
	unsaid  string // what such an answer can mean, where it does not say
	// everybodys is a path that each login may read that may anything, where a refusal
	// does not say whether it is of the login.
	everybodys string
	// removed tells whether an answer says that this API is there no more. Nothing
	// was done then.
	removed func(remote.Answer) bool
}

// connection is the path of one connection.
func (d *dialect) connection(id identity.ConnectionID) string {
	return d.connections + "/" + url.PathEscape(string(id))
}

// pageSize is the most that Airflow gives at once. With it a connection may take
// 10 KB on average before a page is more than remote reads of an answer; 2 KB are
// much for one of ours.
const pageSize = 100

func byOffset(offset int) string {
	return url.Values{
		"limit":    {strconv.Itoa(pageSize)},
		"offset":   {strconv.Itoa(offset)},
		"order_by": {"connection_id"},
	}.Encode()
}

// tongue is the dialect in which an Airflow is spoken to, and how it is found.
type tongue struct {
	fixed bool          // it is not asked for and does not change
	turn  chan struct{} // full while somebody asks
	mu    sync.Mutex
	known *dialect // nil: nobody has asked yet
}

func newTongue(api API) *tongue {
	t := &tongue{turn: make(chan struct{}, 1)}
	for _, d := range dialects {
		if d.api == api {
			t.known, t.fixed = d, true
		}
	}
	return t
}

// dialects are in the order in which Airflow is asked for them.
var dialects = []*dialect{&v2, &v1}

func (t *tongue) current() *dialect {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known
}

// find gives the dialect that is known, or asks for it, one caller at a time.
func (t *tongue) find(ctx context.Context, ask func(context.Context) (*dialect, error)) (*dialect, error) {
	if known := t.current(); known != nil {
		return known, nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for Airflow's version: %w", context.Cause(ctx))
	}
	if known := t.current(); known != nil {
		return known, nil // whoever had the turn before us asked
	}
	found, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.known = found
	t.mu.Unlock()
	return found, nil
}

// hear forgets a dialect that Airflow does not seem to speak any more, as after an
// upgrade: it is asked again before the next call. A page of HTML may come from
// something in front of it, and then the question costs a call or two.
func (t *tongue) hear(d *dialect, answer remote.Answer) {
	if t.fixed || !d.removed(answer) && !(answer.Status == http.StatusNotFound && isPage(answer)) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == d {
		t.known = nil
	}
}

func isPage(answer remote.Answer) bool {
	return !answer.FromRouter() && strings.HasPrefix(strings.TrimSpace(string(answer.Body)), "<")
}

// ask finds out which API Airflow has. Only a version that belongs to the path it
// was asked at is believed: Airflow 2 answers the path of Airflow 3 with a page, and
// so does everything that stands in front of either.
func (c *Client) ask(ctx context.Context) (*dialect, error) {
	err := errors.New("no Airflow 2 or 3 answers here")
	for i, d := range dialects {
		answer, doErr := c.session.Do(ctx, remote.Request{
			Call: "GET " + d.version, Method: http.MethodGet, URL: c.url + d.version, Header: jsonHeader(nil),
			Guess: i < len(dialects)-1,
		})
		if doErr != nil {
			return nil, fmt.Errorf("asking for Airflow's version: %w", doErr)
		}
		wrong := versionOf(answer, d)
		if wrong == nil {
			return d, nil
		}
		err = fmt.Errorf("%w; %w", err, wrong)
	}
	return nil, fmt.Errorf("asking for Airflow's version: %w", err)
}

func versionOf(answer remote.Answer, d *dialect) error {
	if answer.Status != http.StatusOK {
		return refusal(answer)
	}
	var body struct {
		Version string `json:"version"`
	}
	if err := answer.JSON(&body); err != nil {
		return answer.Unreadable(err)
	}
	text, _, _ := strings.Cut(body.Version, ".")
	major, err := strconv.Atoi(text)
	if err != nil || !d.has(major) {
		return answer.Unreadable(fmt.Errorf("the version is %.40q", body.Version))
	}
	return nil
}

// do makes a call in the dialect that Airflow speaks, at the path that this has for it.
func (c *Client) do(ctx context.Context, r remote.Request, path func(*dialect) string) (remote.Answer, *dialect, error) {
	ctx, cancel := c.system.Within(ctx)
	defer cancel()
	d, err := c.tongue.find(ctx, c.ask)
	if err != nil {
		return remote.Answer{}, nil, c.system.Unsent(r.Call, err)
	}
	r.URL, r.Header = c.url+path(d), jsonHeader(r.Body)
	answer, err := c.session.Do(ctx, r)
	if err != nil {
		return remote.Answer{}, d, err
	}
	c.tongue.hear(d, answer)
	return answer, d, nil
}

// loginRefused tells whether an answer of Airflow's own refuses our login, in
// whatever dialect, as long as that is not known.
func (c *Client) loginRefused(a remote.Answer) bool {
	refused := refusal(a)
	if !refused.Own {
		return false
	}
	if d := c.tongue.current(); d != nil {
		return d.refuses(refused.Status, refused.Description)
	}
	return v1.refuses(refused.Status, refused.Description) || v2.refuses(refused.Status, refused.Description)
}

// jsonHeader claims JSON only where there is a body: Airflow 2 answers 400 to a DELETE
// that claims it and has none.
func jsonHeader(body []byte) http.Header {
	header := http.Header{"Accept": {"application/json"}}
	if len(body) > 0 {
		header.Set("Content-Type", "application/json")
	}
	return header
}
