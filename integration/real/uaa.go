//go:build unix

package real

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// Client is a UAA client that exists from the start.
type Client struct {
	ID, Secret  string
	Authorities []string
}

// adminAuthorities let a test look at, and do, anything.
var adminAuthorities = []string{
	"uaa.admin", "uaa.resource", "clients.admin", "clients.read", "clients.write", "clients.secret",
	"scim.read", "scim.write", "tokens.list", "tokens.revoke", "zones.read", "zones.write",
}

// BrokerAuthorities are what the broker's own client needs for its work: to make
// clients with the authorities it wants, to read and remove them, to check tokens.
var BrokerAuthorities = []string{"clients.admin", "clients.read", "clients.write", "tokens.revoke", "uaa.resource"}

// UAAConfig says how to start a UAA. Every zero value does.
type UAAConfig struct {
	// Cache is the folder that Install filled; "" means Cache().
	Cache string
	// Dir is the working folder, with the log; "" means a temporary one.
	Dir string
	// Broker is the broker's own client. An empty ID means "airflow-identity", an
	// empty secret a random one, no authorities BrokerAuthorities.
	Broker Client
}

// UAA is a running UAA with a database in memory and two clients.
type UAA struct {
	*server
	// URL is the base of the API and, with /oauth/token, the issuer. The name in it
	// matters: UAA tells its zones apart by it.
	URL string
	// Admin may do anything, Broker what BrokerAuthorities or the test say.
	Admin, Broker Client
}

// StartUAA starts a UAA and returns when it answers, which takes some fifteen
// seconds. The context bounds the start alone.
func StartUAA(ctx context.Context, c UAAConfig) (*UAA, error) {
	return onFreePort(ctx, c, startUAA)
}

func startUAA(ctx context.Context, c UAAConfig) (_ *UAA, err error) {
	dir, err := installed(c.Cache, Target{UAASystem, Versions(UAASystem)[0]}.String())
	if err != nil {
		return nil, fmt.Errorf("start UAA: %w", err)
	}
	java, ok := findJava(ctx)
	if !ok {
		return nil, errors.New("start UAA: no Java 17 found, `make e2e` installs one")
	}
	server, err := newServer(c.Dir, "uaa")
	if err != nil {
		return nil, fmt.Errorf("start UAA: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start UAA: %w", err), server.Stop())
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}

	uaa := &UAA{
		server: server,
		URL:    "http://localhost:" + strconv.Itoa(port) + "/uaa",
		Admin:  Client{ID: "admin", Secret: random(), Authorities: adminAuthorities},
		Broker: c.Broker.withDefaults(),
	}
	if err := uaa.configure(dir, port); err != nil {
		return nil, err
	}
	if err := server.launch(uaa.environment(), filepath.Join(java, "bin", "java"), uaa.arguments(dir)...); err != nil {
		return nil, err
	}
	if err := server.awaitReady(ctx, "http://127.0.0.1:"+strconv.Itoa(port)+"/uaa/healthz"); err != nil {
		return nil, err
	}
	return uaa, nil
}

func (c Client) withDefaults() Client {
	if c.ID == "" {
		c.ID = "airflow-identity"
	}
	if c.Secret == "" {
		c.Secret = random()
	}
	if len(c.Authorities) == 0 {
		c.Authorities = BrokerAuthorities
	}
	return c
}

// environment leads UAA to its settings, and nothing else into it: it would read
// CLOUDFOUNDRY_CONFIG_PATH, SPRING_… and others as well.
func (u *UAA) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "UAA_CONFIG_PATH=" + u.dir}
}

func (u *UAA) arguments(dir string) []string {
	bin := filepath.Join(tomcatDir(dir), "bin")
	return []string{
		// Two short lives matter more here than the best code: a start costs half the
		// processor time so. Passwords are hashed at half the speed.
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m",
		"--add-opens=java.base/java.lang=ALL-UNNAMED",             // for the war's cglib
		"-Djdk.util.zip.disableZip64ExtraFieldValidation=true",    // for one of the war's jars
		"-Dorg.apache.catalina.startup.EXIT_ON_INIT_FAILURE=true", // or it lives on without its port
		"-Dcatalina.home=" + tomcatDir(dir),
		"-Dcatalina.base=" + u.dir,
		"-Djava.io.tmpdir=" + filepath.Join(u.dir, "temp"),
		"-cp", filepath.Join(bin, "bootstrap.jar") + ":" + filepath.Join(bin, "tomcat-juli.jar"),
		"org.apache.catalina.startup.Bootstrap", "start",
	}
}

//go:embed templates
var templates embed.FS

// configure lays out what Tomcat calls its base and UAA its configuration path.
func (u *UAA) configure(dir string, port int) error {
	signingKey, _, err := keyPair()
	if err != nil {
		return err
	}
	samlKey, samlCertificate, err := keyPair()
	if err != nil {
		return err
	}
	values := map[string]any{
		"Port":            port,
		"War":             warDir(dir),
		"Overlay":         overlayDir(dir),
		"Issuer":          u.URL,
		"Logging":         filepath.Join(u.dir, "log4j.properties"),
		"Passphrase":      random(),
		"SigningKey":      signingKey,
		"SAMLKey":         samlKey,
		"SAMLCertificate": samlCertificate,
		"Clients":         []Client{u.Admin, u.Broker},
	}
	for name, target := range map[string]string{
		"server.xml":       "conf/server.xml",
		"context.xml":      "conf/uaa/localhost/uaa.xml", // engine, host, path
		"log4j.properties": "log4j.properties",
		"uaa.yml":          "uaa.yml",
	} {
		content, err := render(name, values)
		if err != nil {
			return err
		}
		if _, err := u.file(target, content); err != nil {
			return err
		}
	}
	for _, name := range []string{"conf/web.xml", "conf/catalina.properties"} {
		content, err := os.ReadFile(filepath.Join(tomcatDir(dir), name))
		if err != nil {
			return fmt.Errorf("read Tomcat's own settings: %w", err)
		}
		if _, err := u.file(name, string(content)); err != nil {
			return err
		}
	}
	for _, name := range []string{"temp", "logs", "work", "apps"} {
		if err := os.MkdirAll(filepath.Join(u.dir, name), 0o755); err != nil {
			return fmt.Errorf("make Tomcat's folders: %w", err)
		}
	}
	return nil
}

func render(name string, values map[string]any) (string, error) {
	functions := template.FuncMap{
		"join": func(list []string) string { return strings.Join(list, ",") },
		"indent": func(columns int, text string) string {
			margin := strings.Repeat(" ", columns)
			return margin + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+margin)
		},
	}
	parsed, err := template.New(name).Funcs(functions).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return "", fmt.Errorf("parse %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, values); err != nil {
		return "", fmt.Errorf("fill in %s: %w", name, err)
	}
	return out.String(), nil
}

// keyPair makes an RSA key, in the PKCS #1 form that UAA 4 reads, and a certificate.
func keyPair() (key, certificate string, err error) {
	private, err := rsa.GenerateKey(crand.Reader, 2048)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "uaa"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	signed, err := x509.CreateCertificate(crand.Reader, about, about, private.Public(), private)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate: %w", err)
	}
	key = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	return key, certificate, nil
}
