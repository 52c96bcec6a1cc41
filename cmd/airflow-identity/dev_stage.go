package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/postgres"
	airflowstandin "airflow-identity/integration/standin/airflow"
	uaastandin "airflow-identity/integration/standin/uaa"
	"airflow-identity/store"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"
)

// stage is what dev and demo play on: a Postgres of their own, and a UAA and an
// Airflow for each environment, all on loopback and all in one folder.
type stage struct {
	folder       string
	names        []string // of the environments
	options      stageOptions
	state        stageState
	database     *postgres.Server
	environments map[string]*stageEnvironment
}

type stageOptions struct {
	timeout    time.Duration // of both remotes, as the configuration will say
	soak       time.Duration // of the plans, and the life of their tokens; 0: the product's own
	durable    bool          // Postgres waits for the disk
	bcryptCost int           // of UAA; the real one has bcrypt's default
	open       opener        // nil: stand-ins
}

// opener starts the systems of an environment, with the stage's logins. Several are
// started at a time.
type opener func(ctx context.Context, s *stage, environment string) (*stageEnvironment, error)

// stageEnvironment is a UAA and an Airflow.
type stageEnvironment struct {
	systems systems
	told    addresses // where the brokers look for them, if not where they are

	uaa     *uaastandin.Server     // nil if the systems are real ones
	airflow *airflowstandin.Server // nil if the systems are real ones
}

// stageState is what a folder remembers, so that a restart finds its addresses,
// ids and secrets again. It is written with mode 0600.
type stageState struct {
	DatabasePort int                         `json:"database_port"`
	Offering     string                      `json:"offering"`
	Plans        map[string]string           `json:"plans"`
	Keyset       string                      `json:"keyset"`
	User         string                      `json:"user"`
	Password     string                      `json:"password"`
	UAASecret    string                      `json:"uaa_secret"`
	AirflowLogin string                      `json:"airflow_login"`
	Ports        map[string]stageAddressPair `json:"ports"`
}

type stageAddressPair struct {
	UAA     int `json:"uaa"`
	Airflow int `json:"airflow"`
}

const (
	stateFile  = "state.json"
	configName = "config.yml"

	stageClient  = "airflow-identity"
	stageAirflow = "broker"
)

// openStage starts everything in the folder.
func openStage(ctx context.Context, folder string, names []string, options stageOptions) (_ *stage, err error) {
	s := &stage{folder: folder, names: names, options: options, environments: map[string]*stageEnvironment{}}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	if err := s.remember(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openDatabase(ctx); err != nil {
		return nil, fmt.Errorf("starting Postgres: %w", err)
	}
	if err := store.Migrate(ctx, s.databaseURL()); err != nil {
		return nil, err
	}
	if err := s.openEnvironments(ctx); err != nil {
		return nil, err
	}
	// Only now are the addresses promised: until here each could still be another.
	if err := s.writeState(); err != nil {
		return nil, err
	}
	return s, s.writeConfig()
}

// openEnvironments starts all at once: real systems take their time.
func (s *stage) openEnvironments(ctx context.Context) error {
	open := s.options.open
	if open == nil {
		open = openStandIns
	}
	opened := make([]*stageEnvironment, len(s.names))
	group, starting := errgroup.WithContext(ctx)
	for i, name := range s.names {
		group.Go(func() (err error) {
			if opened[i], err = open(starting, s, name); err != nil {
				return fmt.Errorf("starting environment %s: %w", name, err)
			}
			return nil
		})
	}
	err := group.Wait()
	for i, name := range s.names {
		if opened[i] != nil {
			s.environments[name] = opened[i] // also after an error, to be closed
		}
	}
	if err != nil {
		return err
	}
	return s.rememberPorts()
}

// openDatabase starts Postgres on the port that the folder remembers, or at first
// on any that is free.
func (s *stage) openDatabase(ctx context.Context) error {
	start := func(port int) (err error) {
		s.state.DatabasePort = port
		s.database, err = postgres.Start(ctx, postgres.Config{
			DataDir: filepath.Join(s.folder, "postgres"), Port: port, Durable: s.options.durable,
			LogFile: filepath.Join(s.folder, "postgres.log"),
		})
		return err
	}
	if s.state.DatabasePort != 0 {
		return start(s.state.DatabasePort)
	}
	return onFreePort(start)
}

// remember reads the state, or makes it on the first start, as yet without ports.
func (s *stage) remember() error {
	path := filepath.Join(s.folder, stateFile)
	text, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(text, &s.state); err != nil {
			return fmt.Errorf("%s is not what was written there; name another folder with --state, or remove this one: %w", path, err)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the state: %w", err)
	}
	keyset, err := store.NewKeyset()
	if err != nil {
		return err
	}
	s.state = stageState{
		Offering: uuid.NewString(), Plans: map[string]string{}, Keyset: keyset.Reveal(), Ports: map[string]stageAddressPair{},
		User: "platform", Password: identity.NewSecret().Reveal(),
		UAASecret: identity.NewSecret().Reveal(), AirflowLogin: identity.NewSecret().Reveal(),
	}
	for _, name := range s.names {
		s.state.Plans[name] = uuid.NewString()
	}
	return nil
}

func (s *stage) writeState() error {
	text, err := json.MarshalIndent(s.state, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return writePrivately(filepath.Join(s.folder, stateFile), text)
}

// takeLogin makes a login the broker's, from now on; none leaves it as it is.
func (s *stage) takeLogin(user, password string) error {
	if user == "" {
		return nil
	}
	s.state.User, s.state.Password = user, password
	return s.writeState()
}

func (s *stage) rememberPorts() error {
	for name, env := range s.environments {
		var pair stageAddressPair
		at := env.systems.at()
		for of, port := range map[string]*int{at.uaa: &pair.UAA, at.airflow: &pair.Airflow} {
			address, err := url.Parse(of)
			if err == nil {
				*port, err = strconv.Atoi(address.Port())
			}
			if err != nil {
				return fmt.Errorf("reading the address of a remote: %w", err)
			}
		}
		s.state.Ports[name] = pair
	}
	return nil
}

// snapshot is what a stand-in held when it was last saved; nil at first.
func (s *stage) snapshot(environment, system string) []byte {
	text, err := os.ReadFile(s.snapshotFile(environment, system))
	if err != nil {
		return nil
	}
	return text
}

func (s *stage) snapshotFile(environment, system string) string {
	return filepath.Join(s.folder, environment+"-"+system+".json")
}

// save writes down what the stand-ins hold.
func (s *stage) save() error {
	var problems []error
	for name, env := range s.environments {
		for system, take := range map[string]func() ([]byte, error){"uaa": env.uaa.Snapshot, "airflow": env.airflow.Snapshot} {
			text, err := take()
			if err == nil {
				err = writePrivately(s.snapshotFile(name, system), text)
			}
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Close stops everything. The folder stays.
func (s *stage) Close() error {
	var closing errgroup.Group
	for _, env := range s.environments {
		closing.Go(env.systems.Close)
	}
	err := closing.Wait()
	if s.database != nil {
		err = errors.Join(err, s.database.Stop())
	}
	return err
}

func (s *stage) databaseURL() string { return s.database.URL("postgres") }

func (s *stage) configPath() string { return filepath.Join(s.folder, configName) }

// writeConfig writes the configuration as an operator would. Its secrets are in
// the environment that serving gives.
func (s *stage) writeConfig() error {
	timeout, soak := duration(s.options.timeout), duration(s.options.soak)
	tokens := TokenLifetimeConfig{Default: soak, Maximum: soak} // a token must not outlive a soak
	if soak == 0 {
		tokens.Maximum = duration(30 * time.Minute)
	}
	config := Config{
		Offering:      OfferingConfig{ID: s.state.Offering},
		SealingKeyset: "env:SEALING_KEYSET",
		Budget:        defaultBudget,
		Environments:  map[string]EnvironmentConfig{},
	}
	for _, name := range s.names {
		at, public := s.environments[name].systems.at(), ""
		if told := s.environments[name].told; told != (addresses{}) {
			at, public = told, at.uaa
		}
		config.Environments[name] = EnvironmentConfig{
			UAA: UAAConfig{
				URL: at.uaa, PublicURL: public, ClientID: stageClient, Timeout: timeout,
				ClientAuth: ClientAuthConfig{Kind: "secret", Secret: "env:UAA_CLIENT_SECRET"},
			},
			Airflow: AirflowConfig{
				URL: at.airflow, Timeout: timeout,
				Auth: AirflowAuthConfig{Kind: "password", Username: stageAirflow, Password: "env:AIRFLOW_PASSWORD"},
			},
		}
		config.Plans = append(config.Plans, PlanConfig{
			ID: s.state.Plans[name], Name: name, Environment: name, Description: "Identities for DAGs in " + name,
			DefaultAuthorities: []string{"orders.read"},
			Rotation:           RotationConfig{Soak: soak},
			TokenLifetime:      tokens,
			AppClient:          AppClientConfig{Allowed: true, Maximum: duration(720 * time.Hour)},
			Quota:              QuotaConfig{InstancesPerSpace: 1000, BindingsPerInstance: 1000},
			Allow: AllowConfig{
				Authorities:   []string{"orders.*", "{{org}}.{{space}}.*"},
				ConnectionIDs: []string{"{{org}}_*"},
			},
		})
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return writePrivately(s.configPath(), text)
}

// serving is the environment that serve needs on this stage.
func (s *stage) serving(port string) map[string]string {
	return map[string]string{
		"PORT":                    port,
		"DATABASE_URL":            s.databaseURL(),
		"DIRECT_DATABASE_URL":     "", // whoever plays on the stage may have one for elsewhere
		"AIRFLOW_IDENTITY_CONFIG": s.configPath(),
		"SEALING_KEYSET":          s.state.Keyset,
		"UAA_CLIENT_SECRET":       s.state.UAASecret,
		"AIRFLOW_PASSWORD":        s.state.AirflowLogin,
		"SECURITY_USER_NAME":      s.state.User,
		"SECURITY_USER_PASSWORD":  s.state.Password,
	}
}

func loopbackAddress(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// portTries is how many ports are tried before something else must be wrong.
const portTries = 5

// onFreePort starts something on a free port, and on another one if somebody else
// took that in the meantime.
func onFreePort(start func(port int) error) error {
	var err error
	for range portTries {
		ports, findErr := freePorts(1)
		if findErr != nil {
			return findErr
		}
		if err = start(ports[0]); !errors.Is(err, postgres.ErrPortTaken) {
			return err
		}
	}
	return fmt.Errorf("giving up after %d ports: %w", portTries, err)
}

// freePorts finds ports that nobody listens on at the moment.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", loopbackAddress(0))
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer listener.Close() // only after all are found, so that no two are the same
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// writePrivately replaces a file as a whole, for its owner's eyes only.
func writePrivately(path string, text []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
