package integration

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programFolder is where the real program was built; TestMain removes it.
var programFolder string

// programPath builds the real program once for all tests.
var programPath = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "airflow-identity-test")
	if err != nil {
		return "", err
	}
	programFolder = folder
	path := filepath.Join(folder, "airflow-identity")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/airflow-identity").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w: %s", err, out)
	}
	return path, nil
})

// program is a broker as a process of its own.
type program struct {
	*platform
	t      *testing.T
	log    *safeBuffer
	port   string
	config string
	env    []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// program starts the real binary on the world's rows. database may lead through
// something that stands between; "" is the world's own.
func (w *world) program(database string) *program {
	w.t.Helper()
	if database == "" {
		database = w.url
	}
	if w.options.sweep < 0 {
		// Its first sweep would take the logins that a test means for something else.
		if _, err := w.pool.Exec(w.t.Context(), `INSERT INTO sweep (environment, due_at) VALUES ('prod', 'infinity') ON CONFLICT DO NOTHING`); err != nil {
			w.t.Fatal(err)
		}
	}
	p := newProgram(w.t, w.log, w.configFile(), w.brokerEnvironment(database)...)
	p.platform = w.platform(p.url())
	p.start()
	return p
}

// newProgram prepares the real binary with a configuration; start runs it.
func newProgram(t *testing.T, log *safeBuffer, config string, env ...string) *program {
	t.Helper()
	p := &program{t: t, log: log, port: freePort(t), config: filepath.Join(t.TempDir(), "config.yml"), env: env}
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *program) url() string { return "http://127.0.0.1:" + p.port }

func (w *world) configFile() string {
	return configFile(w.prod().uaa.URL(), w.prod().airflow.URL(), w.options.timeout, w.options.budget)
}

func (w *world) brokerEnvironment(database string) []string {
	return brokerEnvironment(database, w.keyset.Reveal(), uaaSecret, airflowPass)
}

// configFile is what an operator would write for one environment.
func configFile(uaa, airflow string, timeout, budget time.Duration) string {
	return fmt.Sprintf(`offering: {id: %s}
sealing_keyset: env:SEALING_KEYSET
budget: %s
environments:
  prod:
    uaa: {url: %s, client_id: airflow-identity, client_auth: {secret: env:UAA_SECRET}, timeout: %s}
    airflow: {url: %s, auth: {kind: password, username: broker, password: env:AIRFLOW_PASSWORD}, timeout: %s}
plans:
- id: %s
  name: prod
  environment: prod
  description: identities for production DAGs
  app_client: {allowed: true}
  default_authorities: [orders.read]
  allow: {authorities: ["orders.*", "{{org}}.{{space}}.*"], connection_ids: ["{{org}}_*", "orders_*"]}
`, offeringID, budget, uaa, timeout, airflow, timeout, prodPlan)
}

func brokerEnvironment(database, keyset, uaa, airflow string) []string {
	return []string{
		"DATABASE_URL=" + database, "LOG_LEVEL=debug", "SEALING_KEYSET=" + keyset,
		"UAA_SECRET=" + uaa, "AIRFLOW_PASSWORD=" + airflow,
		"SECURITY_USER_NAME=" + brokerUser, "SECURITY_USER_PASSWORD=" + brokerPass,
	}
}

// start runs it until it is ready. A port that was free may be somebody else's by
// now; then it is tried on another.
func (p *program) start() {
	p.t.Helper()
	for range 3 {
		if p.tryStart() {
			return
		}
		p.kill()
		p.port = freePort(p.t)
		if p.platform != nil {
			p.platform.base = p.url()
		}
	}
	p.t.Fatalf("the broker did not become ready: %s", p.log.String())
}

func (p *program) tryStart() bool {
	p.t.Helper()
	path, err := programPath()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--config", p.config)
	cmd.Env = append(append(os.Environ(), "PORT="+p.port), p.env...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait() // killed is how most of them end
		close(exited)
	}()
	ready := false
	eventually(20*time.Second, func() bool {
		select {
		case <-exited:
			return true // it could not have the port, say
		default:
		}
		response, err := http.Get(p.url() + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		ready = response.StatusCode == http.StatusOK
		return ready
	})
	return ready
}

// kill ends the process as the platform does when it has no more patience.
func (p *program) kill() { p.signal(syscall.SIGKILL) }

func (p *program) signal(s syscall.Signal) {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("sending %s: %v", s, err)
	}
	<-exited
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
