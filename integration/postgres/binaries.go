//go:build unix

package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// folders are where distributions and Homebrew keep what they leave out of PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // the PostgreSQL project's RPMs
	"/usr/local/pgsql/bin",              // from source
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
}

// binaries is one installation of Postgres.
type binaries struct {
	folder string
	major  string // as PG_VERSION has it: "15", "9.6"
}

func (b binaries) initdb() string   { return filepath.Join(b.folder, "initdb") }
func (b binaries) postgres() string { return filepath.Join(b.folder, "postgres") }

// errNoBinaries tells what to do, since nothing else can be done about it.
var errNoBinaries = errors.New("no Postgres found on PATH or in the usual folders: install it with `" +
	installCommand() + "`, or put the folder that holds initdb and postgres on PATH")

func installCommand() string {
	if runtime.GOOS == "darwin" {
		return "brew install postgresql@17"
	}
	if _, err := exec.LookPath("dnf"); err == nil {
		return "dnf install postgresql-server"
	}
	return "apt-get install postgresql"
}

// find looks for an installation, in PATH first, then in the folders, newest
// first. With a major version it takes only one of that version.
func find(path string, folders []string, major string) (binaries, error) {
	var seen []string
	for _, folder := range candidates(path, folders) {
		if slices.Contains(seen, folder) {
			continue
		}
		seen = append(seen, folder)

		found, err := version(filepath.Join(folder, "postgres"))
		if err != nil {
			continue // an installation that cannot say its version cannot run either
		}
		if major == "" || found == major {
			return binaries{folder: folder, major: found}, nil
		}
	}
	if major != "" {
		return binaries{}, fmt.Errorf("no Postgres %s found, which made this data", major)
	}
	return binaries{}, errNoBinaries
}

// candidates are the folders that hold both programs, links resolved: Postgres
// looks for its own files beside the program as it was called.
func candidates(path string, folders []string) []string {
	all := filepath.SplitList(path)
	for _, pattern := range folders {
		matches, _ := filepath.Glob(pattern) // fails on a bad pattern only
		slices.SortFunc(matches, newestFirst)
		all = append(all, matches...)
	}

	var complete []string
	for _, folder := range all {
		postgres, err := executable(filepath.Join(folder, "postgres"))
		if err != nil {
			continue
		}
		if initdb, err := executable(filepath.Join(folder, "initdb")); err == nil && filepath.Dir(initdb) == filepath.Dir(postgres) {
			complete = append(complete, filepath.Dir(postgres))
		}
	}
	return complete
}

// executable resolves a program's links. Called through a link from elsewhere it
// would have to guess where its libraries and templates are.
func executable(path string) (string, error) {
	if _, err := exec.LookPath(path); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

var number = regexp.MustCompile(`\d+`)

// newestFirst orders "/usr/lib/postgresql/9.6/bin" after "…/15/bin".
func newestFirst(a, b string) int {
	as, bs := number.FindAllString(a, -1), number.FindAllString(b, -1)
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if order := cmp.Compare(y, x); order != 0 {
			return order
		}
	}
	return cmp.Or(cmp.Compare(len(bs), len(as)), strings.Compare(b, a))
}

// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "… 17beta1", "… 9.6.24"
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (9\.\d+|\d+)`)

// version asks a postgres program for its major version.
func version(program string) (string, error) {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("%s answers %q when asked for its version", program, out)
	}
	return string(match[1]), nil
}

// made tells the major version that made a data folder: "" where there is
// nothing yet, an error where there is something else.
func made(dataDir string) (major string, err error) {
	content, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION"))
	if err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the version of the data folder: %w", err)
	}

	entries, err := os.ReadDir(dataDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("look into the data folder: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty and not a Postgres data folder: it is left as it is, name another", dataDir)
	}
	return "", nil
}

// choose picks the installation for a data folder.
func choose(dataDir, path string, folders []string) (_ binaries, fresh bool, err error) {
	major, err := made(dataDir)
	if err != nil {
		return binaries{}, false, err
	}
	found, err := find(path, folders, major)
	if err == nil || major == "" {
		return found, major == "", err
	}

	other, otherErr := find(path, folders, "")
	if otherErr != nil {
		return binaries{}, false, otherErr
	}
	return binaries{}, false, fmt.Errorf("%s was made by Postgres %s and the one installed here is %s: the data is left as it is, install Postgres %s or name another folder",
		dataDir, major, other.major, major)
}
