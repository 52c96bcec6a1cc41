package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"airflow-identity/broker"
	"airflow-identity/identity"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"
)

const saveEvery = time.Second

// devEnvironments are dev's, and so are its plans.
var devEnvironments = []string{"dev", "staging", "prod"}

func devCommand() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "the broker with everything around it, staying up on loopback",
		Long: `Starts a Postgres, a stand-in of UAA and of Airflow for each of dev, staging and prod,
and the broker on PORT (8080 by default), all on loopback. Everything is kept in the
state folder, so that a restart goes on where it was. The login of the broker is that of
SECURITY_USER_NAME and SECURITY_USER_PASSWORD, or else the one that the folder
remembers; its dev.json tells it.

It is for trying things out, never for production.`,
		Example: `  airflow-identity dev --state /tmp/airflow-identity`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return dev(cmd.Context(), folder, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&folder, "state", defaultState(), "folder that keeps everything")
	return cmd
}

func defaultState() string {
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "airflow-identity", "dev")
	}
	return filepath.Join(os.TempDir(), "airflow-identity-dev")
}

func dev(ctx context.Context, folder string, out io.Writer) (err error) {
	user, password := os.Getenv("SECURITY_USER_NAME"), os.Getenv("SECURITY_USER_PASSWORD")
	if (user == "") != (password == "") {
		return misconfigured(errors.New("set both SECURITY_USER_NAME and SECURITY_USER_PASSWORD, or neither"))
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("finding the state folder: %w", err)
	}
	// It says that all is ready: one that a killed dev left behind must go first,
	// and this one's when it stops.
	if err := forgetDevFile(folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forgetDevFile(folder)) }()
	s, err := openStage(ctx, folder, devEnvironments, stageOptions{
		timeout: time.Duration(defaultTimeout), durable: true, bcryptCost: bcrypt.DefaultCost,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.takeLogin(user, password); err != nil {
		return err
	}
	for name, value := range s.serving(port()) {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	logFile, err := os.OpenFile(filepath.Join(folder, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the broker's log: %w", err)
	}
	defer logFile.Close()
	logger, err := newLogger(logFile)
	if err != nil {
		return misconfigured(err)
	}
	config, err := loadConfig(s.configPath())
	if err != nil {
		return err
	}
	login := broker.Credential{User: s.state.User, Password: identity.SecretFrom(s.state.Password)}
	app, err := build(ctx, config, s.databaseURL(), s.databaseURL(), nil, []broker.Credential{login}, logger)
	if err != nil {
		return err
	}
	defer app.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port()))
	if err != nil {
		return fmt.Errorf("listening (set PORT to use another port): %w", err)
	}
	told := s.tell(listener.Addr().String())
	if err := told.write(folder); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := told.print(out, s); err != nil {
		return errors.Join(err, listener.Close())
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return app.run(running, listener, logger) })
	group.Go(func() error { return s.keepSaving(running) })
	return group.Wait()
}

// keepSaving writes down what the stand-ins hold, until ctx ends and once more then.
func (s *stage) keepSaving(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.save()
		case <-tick.C:
			if err := s.save(); err != nil {
				return err
			}
		}
	}
}

const devFileName = "dev.json"

// devFile is dev.json, which is written once everything is ready.
type devFile struct {
	Broker       string                    `json:"broker"`
	User         string                    `json:"user"`
	Password     string                    `json:"password"`
	DatabaseURL  string                    `json:"database_url"`
	Environments map[string]devEnvironment `json:"environments"`
}

type devEnvironment struct {
	UAA     string `json:"uaa"`
	Airflow string `json:"airflow"`
}

func (s *stage) tell(address string) devFile {
	file := devFile{
		Broker: "http://" + address, User: s.state.User, Password: s.state.Password, DatabaseURL: s.databaseURL(),
		Environments: map[string]devEnvironment{},
	}
	for name, env := range s.environments {
		at := env.systems.at()
		file.Environments[name] = devEnvironment{UAA: at.uaa, Airflow: at.airflow}
	}
	return file
}

func (f devFile) write(folder string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("writing dev.json: %w", err)
	}
	return writePrivately(filepath.Join(folder, devFileName), append(text, '\n'))
}

func forgetDevFile(folder string) error {
	if err := os.Remove(filepath.Join(folder, devFileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing dev.json: %w", err)
	}
	return nil
}

// devText never holds the password: it names the file that does.
var devText = template.Must(template.New("dev").Parse(`Airflow Identity for trying out, on loopback only. Stop it with Ctrl-C.

  broker   {{.File.Broker}}
{{- range $name, $env := .File.Environments}}
  {{printf "%-8s" $name}} uaa {{$env.UAA}}  airflow {{$env.Airflow}}
{{- end}}
  state    {{.Folder}}

The login is in {{.Folder}}/dev.json. With a Cloud Foundry at hand:

  cf create-service-broker airflow-identity "$(jq -r .user {{.Folder}}/dev.json)" "$(jq -r .password {{.Folder}}/dev.json)" {{.File.Broker}}
  cf enable-service-access airflow-identity
  cf create-service airflow-identity prod orders
  cf bind-service etl orders -c '{"authorities":["orders.read"]}'

and without one, as Cloud Controller would ask:

  login="$(jq -r '.user + ":" + .password' {{.Folder}}/dev.json)"
  osb() { curl -sS -u "$login" -H 'X-Broker-API-Version: 2.15' -H 'Content-Type: application/json' "$@"; echo; }

  osb {{.File.Broker}}/v2/catalog
  osb -X PUT {{.File.Broker}}/v2/service_instances/orders -d '{"service_id":"{{.Offering}}","plan_id":"{{.Prod}}",
    "organization_guid":"o-1","space_guid":"s-1","context":{"platform":"cloudfoundry","organization_name":"acme",
    "space_name":"etl","instance_name":"orders"}}'
  osb -X PUT {{.File.Broker}}/v2/service_instances/orders/service_bindings/etl -d '{"service_id":"{{.Offering}}",
    "plan_id":"{{.Prod}}","bind_resource":{"app_guid":"a-1"},"parameters":{"authorities":["orders.read"]}}'
  osb -X DELETE '{{.File.Broker}}/v2/service_instances/orders/service_bindings/etl?service_id={{.Offering}}&plan_id={{.Prod}}'
  osb -X DELETE '{{.File.Broker}}/v2/service_instances/orders?service_id={{.Offering}}&plan_id={{.Prod}}'
`))

func (f devFile) print(out io.Writer, s *stage) error {
	var text bytes.Buffer
	err := devText.Execute(&text, map[string]any{
		"File": f, "Folder": s.folder,
		"Offering": s.state.Offering, "Prod": s.state.Plans["prod"],
	})
	if err != nil {
		return fmt.Errorf("printing how to use it: %w", err)
	}
	_, err = text.WriteTo(out)
	return err
}
