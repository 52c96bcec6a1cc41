package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"airflow-identity/audit"
	"airflow-identity/store"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// orderFlags are what all verbs that change something have in common: who gives the
// order, and how the result is told.
type orderFlags struct {
	as, token, config string
	asJSON            bool
}

func (o *orderFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.as, "as", "", "who you are, recorded as claimed; default: the OS user")
	flags.StringVar(&o.token, "token", "", "a UAA token that says who you are: - for standard input, env:NAME or file:PATH")
	flags.StringVar(&o.config, "config", os.Getenv("AIRFLOW_IDENTITY_CONFIG"), "path of the configuration file, for --token and for names of plans")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
}

// orders opens the database and says who orders. No keyset is needed: orders are
// wishes, and serve acts.
func (o *orderFlags) orders(cmd *cobra.Command, give func(ctx context.Context, orders *store.Orders, order store.Order) error) error {
	actor, err := o.actor(cmd.Context(), cmd.InOrStdin())
	if err != nil {
		return err
	}
	bound, err := readServices()
	if err != nil {
		return misconfigured(err)
	}
	url, err := databaseURL(bound)
	if err != nil {
		return misconfigured(err)
	}
	orders, err := store.OpenOrders(cmd.Context(), url)
	if err != nil {
		return err
	}
	defer orders.Close()
	return give(cmd.Context(), orders, store.Order{
		Actor: actor, RequestID: uuid.NewString(), At: time.Now().UTC().Truncate(time.Microsecond), // as Postgres keeps it
	})
}

// actor is the subject of a verified token, or else who somebody claims to be,
// together with where the command runs.
func (o *orderFlags) actor(ctx context.Context, stdin io.Reader) (audit.Actor, error) {
	actor := audit.Actor{Kind: "operator", OSUser: osUser(), CFInstance: os.Getenv("CF_INSTANCE_GUID")}
	if o.token == "" {
		actor.User, actor.Claimed = o.as, true
		if o.as == "" {
			actor.User = actor.OSUser
		}
		return actor, nil
	}
	if o.as != "" {
		return actor, misconfigured(errors.New("--as and --token both say who you are: give one"))
	}
	text, err := readToken(o.token, stdin)
	if err != nil {
		return actor, misconfigured(err)
	}
	config, err := loadConfig(o.config)
	if err != nil {
		return actor, misconfigured(fmt.Errorf("--token needs the configuration, to know whose tokens to trust: %w", err))
	}
	return actor, config.verify(ctx, text, &actor)
}

func osUser() string {
	if current, err := user.Current(); err == nil && current.Username != "" {
		return current.Username
	}
	return os.Getenv("USER")
}

// readToken reads what cf oauth-token prints. A token is never an argument: others
// can read those.
func readToken(named string, stdin io.Reader) (string, error) {
	var text string
	if named == "-" {
		read, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
		if err != nil {
			return "", fmt.Errorf("reading a token: %w", err)
		}
		text = string(read)
	} else {
		kind, _, _ := strings.Cut(named, ":")
		if kind != "env" && kind != "file" {
			return "", errors.New("a token is named, never written: use --token -, env:NAME or file:PATH")
		}
		secret, err := reference(named).resolve(nil)
		if err != nil {
			return "", fmt.Errorf("--token: %w", err)
		}
		text = secret.Reveal()
	}
	text = strings.TrimSpace(text)
	if kind, rest, found := strings.Cut(text, " "); found && strings.EqualFold(kind, "bearer") {
		text = strings.TrimSpace(rest)
	}
	if text == "" {
		return "", errors.New("--token: there is none; use it as in cf oauth-token | airflow-identity … --token -")
	}
	return text, nil
}

// scope is what --environment, --plan and --instance select.
type scope struct{ environment, plan, instance string }

func (s *scope) flags(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&s.environment, "environment", "", what+" of this environment")
	cmd.Flags().StringVar(&s.plan, "plan", "", what+" of this plan, by its id, or by its name where the configuration is at hand")
	cmd.Flags().StringVar(&s.instance, "instance", "", what+" of the service instance with this guid")
}

func (s scope) count() int {
	n := 0
	for _, text := range []string{s.environment, s.plan, s.instance} {
		if text != "" {
			n++
		}
	}
	return n
}

// freeze finds what the scope names: one thing, which there is.
func (s scope) freeze(ctx context.Context, ledger *store.Ledger, configPath string) (store.Freeze, error) {
	f := store.Freeze{Kind: store.FreezeInstance, Key: s.instance}
	switch {
	case s.environment != "":
		f = store.Freeze{Kind: store.FreezeEnvironment, Key: s.environment}
	case s.plan != "":
		f = store.Freeze{Kind: store.FreezePlan, Key: s.plan}
	}
	known, err := ledger.Known(ctx, f.Kind, f.Key)
	if known || err != nil {
		return f, err
	}
	// A plan's name stands in the configuration only, and so does an environment
	// in which nothing was made yet.
	config, configErr := loadConfig(configPath)
	if config != nil {
		if _, found := config.Environments[f.Key]; found && f.Kind == store.FreezeEnvironment {
			return f, nil
		}
		for _, plan := range config.Plans {
			if f.Kind == store.FreezePlan && (plan.Name == f.Key || plan.ID == f.Key) {
				return store.Freeze{Kind: f.Kind, Key: plan.ID}, nil
			}
		}
	}
	err = fmt.Errorf("there is no %s %q", f.Kind, f.Key)
	switch {
	case f.Kind == store.FreezePlan && configErr != nil:
		return f, misconfigured(fmt.Errorf("%w with that id; give the plan's id, or for its name the configuration: %w", err, configErr))
	case f.Kind == store.FreezeInstance:
		return f, misconfigured(fmt.Errorf("%w; cf service NAME --guid tells an instance's guid", err))
	default:
		return f, misconfigured(fmt.Errorf("%w; airflow-identity identities list shows what there is", err))
	}
}

// nameOf is an identity as its operator knows it.
func nameOf(r store.LedgerRow) string {
	return store.Named{ID: r.ID, Connection: r.Connection, Environment: r.Environment}.String()
}
