package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"airflow-identity/catalog"
	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11"
	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Engine is what the verbs ask of the core. Its errors are those of identity's
// errors.go and *identity.PendingError, and those of Bind and Update also what
// Judge returned.
type Engine interface {
	Provision(ctx context.Context, req identity.ProvisionRequest) (instance identity.Instance, created bool, err error)
	Update(ctx context.Context, req identity.UpdateRequest) error
	Deprovision(ctx context.Context, req identity.DeprovisionRequest) error
	Bind(ctx context.Context, req identity.BindRequest) (bound identity.Bound, created bool, err error)
	Unbind(ctx context.Context, req identity.UnbindRequest) error
	FindInstance(ctx context.Context, guid identity.InstanceGUID) (identity.Instance, error)
	FindBinding(ctx context.Context, instance identity.InstanceGUID, guid identity.BindingGUID) (identity.Bound, error)
	// InstanceProgress and BindingProgress tell how an operation stands, also of
	// what is gone by now.
	InstanceProgress(ctx context.Context, guid identity.InstanceGUID, op identity.Operation) (identity.Progress, error)
	BindingProgress(ctx context.Context, instance identity.InstanceGUID, guid identity.BindingGUID, op identity.Operation) (identity.Progress, error)
	// Deny records that the guardrails refused a request.
	Deny(ctx context.Context, d identity.Denial) error
}

// Config is what the broker is made of. Everything but Environments is needed.
type Config struct {
	Catalog *catalog.Catalog
	Engine  Engine
	// Credentials are the platform's logins: one, or two while it is changed.
	Credentials []Credential
	// Environments are the addresses of the Airflows as users know them. One
	// that is missing is told by the address that its connections were made at.
	Environments map[identity.EnvironmentName]identity.AirflowURL
	// Ready tells whether requests can be served: the database is there and its
	// schema is the one that this program knows.
	Ready  func(ctx context.Context) error
	Logger *slog.Logger
}

func (c Config) validate() error {
	var problems []error
	need := func(there bool, field string) {
		if !there {
			problems = append(problems, fmt.Errorf("%s is missing", field))
		}
	}
	need(c.Catalog != nil, "Catalog")
	need(c.Engine != nil, "Engine")
	need(c.Ready != nil, "Ready")
	need(c.Logger != nil, "Logger")
	need(len(c.Credentials) > 0, "Credentials")
	for i, login := range c.Credentials {
		// A login that is empty would let everybody in.
		need(login.User != "", fmt.Sprintf("Credentials[%d].User", i))
		need(!login.Password.IsZero(), fmt.Sprintf("Credentials[%d].Password", i))
		if strings.Contains(login.User, ":") {
			problems = append(problems, fmt.Errorf(`Credentials[%d].User holds a ":", which Basic authentication cannot carry`, i))
		}
	}
	return errors.Join(problems...)
}

// broker implements brokerapi's interface, in a file for each verb.
type broker struct {
	catalog      *catalog.Catalog
	engine       Engine
	environments map[identity.EnvironmentName]identity.AirflowURL
	logger       *slog.Logger
}

var _ domain.ServiceBroker = (*broker)(nil)

// New gives the handler of everything that the broker serves.
func New(config Config) (http.Handler, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("making the broker: %w", err)
	}
	b := &broker{
		catalog:      config.Catalog,
		engine:       config.Engine,
		environments: config.Environments,
		logger:       config.Logger,
	}
	tag, err := catalogTag(config.Catalog)
	if err != nil {
		return nil, fmt.Errorf("making the broker: %w", err)
	}
	library := brokerapi.NewWithOptions(b, slog.New(libraryLog{config.Logger.Handler()}))

	platform := b.routes(tagged(tag, library))
	platform = identitiesRecordable(platform)
	platform = apiVersionSupported(platform)
	platform = loggedIn(config.Credentials, platform)

	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/healthz":
			healthy(w, r)
		case path == "/readyz":
			ready(w, r, config.Ready, config.Logger)
		case path == "/v2" || strings.HasPrefix(path, "/v2/"):
			platform.ServeHTTP(w, r)
		default:
			noSuchPath(w, r)
		}
	})
	return withExchange(logged(config.Logger, recovered(config.Logger, all))), nil
}
