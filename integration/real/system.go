//go:build unix

package real

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"airflow-identity/integration/postgres"
)

// tools are the operating system's programs that an installation uses.
type tools struct {
	javaHome, maven, python string
}

// javaHomes are where distributions and Homebrew put a Java 17. It has to be that
// one: UAA 4.30.0 was run on it, and later ones take away more of what it needs.
var javaHomes = []string{
	"/usr/lib/jvm/*17*",
	"/opt/homebrew/opt/openjdk@17/libexec/openjdk.jdk/Contents/Home",
	"/usr/local/opt/openjdk@17/libexec/openjdk.jdk/Contents/Home",
}

func findJava(ctx context.Context) (home string, ok bool) {
	candidates := []string{os.Getenv("JAVA_HOME")}
	for _, pattern := range javaHomes {
		matches, _ := filepath.Glob(pattern) // fails on a bad pattern only
		candidates = append(candidates, matches...)
	}
	for _, home := range candidates {
		if home == "" {
			continue
		}
		said, err := exec.CommandContext(ctx, filepath.Join(home, "bin", "java"), "-version").CombinedOutput()
		if err == nil && strings.Contains(string(said), ` version "17.`) {
			return home, true
		}
	}
	return "", false
}

func findMaven() (program string, ok bool) {
	program, err := exec.LookPath("mvn")
	return program, err == nil
}

// findPython wants a 3.11, for which the packages are locked, with the module venv,
// which Debian ships apart.
func findPython(ctx context.Context) (program string, ok bool) {
	const check = "import sys, ensurepip, sqlite3, venv; sys.exit(sys.version_info[:2] != (3, 11))"
	for _, name := range []string{"python3.11", "/usr/bin/python3.11", "/opt/homebrew/bin/python3.11", "/usr/local/bin/python3.11"} {
		program, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(ctx, program, "-c", check).Run() == nil {
			return program, true
		}
	}
	return "", false
}

// systemTools looks for the programs, and installs what is missing if they are all
// needed. Running the tests later takes Java and PgBouncer alone.
func systemTools(ctx context.Context, all bool, progress io.Writer) (tools, error) {
	found, missing := lookAround(ctx, all)
	if len(missing) == 0 {
		return found, nil
	}
	if err := installPackages(ctx, missing, progress); err != nil {
		return tools{}, err
	}
	found, missing = lookAround(ctx, all)
	if len(missing) > 0 {
		return tools{}, fmt.Errorf("still not found after the system's packages were installed: %s", missing)
	}
	return found, nil
}

// need is a program that is missing, as people and as package managers call it.
type need struct {
	what      string
	apt, brew []string
}

func (n need) String() string { return n.what }

func lookAround(ctx context.Context, all bool) (found tools, missing []need) {
	var ok bool
	if found.javaHome, ok = findJava(ctx); !ok {
		missing = append(missing, need{"a Java 17 runtime", []string{"openjdk-17-jre-headless"}, []string{"openjdk@17"}})
	}
	if _, ok := postgres.FindPgBouncer(); !ok {
		missing = append(missing, need{"PgBouncer", []string{"pgbouncer"}, []string{"pgbouncer"}})
	}
	if !all {
		return found, missing
	}
	if found.maven, ok = findMaven(); !ok {
		missing = append(missing, need{"Maven", []string{"maven"}, []string{"maven"}})
	}
	if found.python, ok = findPython(ctx); !ok {
		missing = append(missing, need{"Python 3.11 with venv", []string{"python3.11", "python3.11-venv"}, []string{"python@3.11"}})
	}
	return found, missing
}

func installPackages(ctx context.Context, missing []need, progress io.Writer) error {
	var apt, brew []string
	for _, need := range missing {
		apt, brew = append(apt, need.apt...), append(brew, need.brew...)
	}
	fmt.Fprintf(progress, "missing: %s\n", missing)

	if program, err := exec.LookPath("apt-get"); err == nil {
		// Offline means that no package may start a service: PgBouncer's would.
		asRoot := []string{"env", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_OFFLINE=1", program}
		if os.Geteuid() != 0 {
			asRoot = append([]string{"sudo"}, asRoot...)
		}
		for _, verb := range [][]string{
			{"update", "-q"},
			append([]string{"install", "-q", "-y", "--no-install-recommends"}, apt...),
		} {
			line := slices.Concat(asRoot, verb)
			if err := command(ctx, nil, line[0], line[1:]...); err != nil {
				return err
			}
		}
		return nil
	}
	if program, err := exec.LookPath("brew"); err == nil {
		return command(ctx, nil, program, append([]string{"install"}, brew...)...)
	}
	return errors.New("install by hand, since neither apt-get nor brew is here: " + fmt.Sprint(missing))
}
