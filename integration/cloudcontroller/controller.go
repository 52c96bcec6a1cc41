package cloudcontroller

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// ClientTimeout is broker_client_timeout_seconds.
const ClientTimeout = time.Minute

// Config is where the broker is, and who asks. URL, User and Password are needed.
type Config struct {
	URL            string
	User, Password string
	// APIVersion is one of Versions; "" means 2.15, which Cloud Controller speaks.
	APIVersion string
	// Clock is that of the queue; nil means time as it passes.
	Clock Clock
	// Timeout is how long an answer may take, in real time; 0 means ClientTimeout.
	Timeout time.Duration
	// Contract, if set, is held against every exchange; Report is told of what
	// does not agree.
	Contract *Contract
	Report   func(finding string)
	// Observe, if set, is given every exchange.
	Observe func(Exchange)

	Org, Space Place
	UserGUID   string // whoever types the commands
	API        string // of Cloud Controller itself
	// BindingsPerApp is how many bindings an app may have to one instance; 0
	// means 5. With 1, the strategy "multiple" is refused.
	BindingsPerApp int
	// Annotations are shown in contexts from 2.16 on; those without a prefix are
	// Cloud Controller's own and are not.
	Annotations map[string]string
}

// Place is an org or a space.
type Place struct{ GUID, Name string }

// Controller is a Cloud Controller with one org, one space, one user and one
// broker.
type Controller struct {
	config    Config
	features  features
	clock     Clock
	transport *http.Transport

	offerings   []*Offering
	instances   []*Instance
	bindings    []*Binding
	apps        map[string]string // name → guid
	queue       []*job
	exchanges   []Exchange
	mitigations int
	orphans     int
	serial      int
}

// New gives a Cloud Controller that knows of no broker yet.
func New(config Config) (*Controller, error) {
	if config.URL == "" || config.User == "" || config.Password == "" {
		return nil, errors.New("making a Cloud Controller: URL, User and Password are needed")
	}
	if config.Contract != nil && config.Report == nil {
		return nil, errors.New("making a Cloud Controller: a Contract needs a Report")
	}
	if config.APIVersion == "" {
		config.APIVersion = "2.15"
	}
	known, err := featuresOf(config.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("making a Cloud Controller: %w", err)
	}
	if config.Clock == nil {
		config.Clock = Wall{}
	}
	if config.Timeout == 0 {
		config.Timeout = ClientTimeout
	}
	if config.UserGUID == "" {
		config.UserGUID = uuid.NewString()
	}
	if config.API == "" {
		config.API = "api.sys.example.com"
	}
	if config.BindingsPerApp == 0 {
		config.BindingsPerApp = 5
	}
	return &Controller{
		config: config, features: known, clock: config.Clock,
		// A client of its own for each request, as the real one has: nothing is
		// kept open, and nothing is sent twice behind the model's back.
		transport: &http.Transport{DisableKeepAlives: true},
		apps:      map[string]string{},
	}, nil
}

// SetTimeout changes how long an answer may take from now on; 0 means ClientTimeout.
func (c *Controller) SetTimeout(d time.Duration) {
	if d == 0 {
		d = ClientTimeout
	}
	c.config.Timeout = d
}

// Exchanges are all requests so far, with their answers.
func (c *Controller) Exchanges() []Exchange { return c.exchanges }

// Pending counts the entries of the queue.
func (c *Controller) Pending() int { return len(c.queue) }

// appGUID makes an app when it is first named.
func (c *Controller) appGUID(name string) string {
	if c.apps[name] == "" {
		c.apps[name] = uuid.NewString()
	}
	return c.apps[name]
}
