//go:build unix

package real

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// CacheVariable names the folder to install into, where the default does not do.
const CacheVariable = "AIRFLOW_IDENTITY_CACHE"

// Cache is the folder that everything is installed into: $AIRFLOW_IDENTITY_CACHE,
// else .cache in the root of the repository that we run in.
func Cache() (string, error) {
	if dir := os.Getenv(CacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".cache"), nil
		}
	}
	return "", errors.New("find the cache folder: not inside the repository, and " + CacheVariable + " is not set")
}

// part is one thing to install, into a folder of its own.
type part struct {
	name   string
	recipe string // changes whenever the result should
	make   func(ctx context.Context, with tools, dir string) error
}

// Install brings the cache folder up to date and says on progress what it does: all
// Targets, or only those that are named, as "airflow-3.3.2". It may be called by
// several processes at once.
func Install(ctx context.Context, cache string, progress io.Writer, names ...string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return err
	}
	defer unlock()

	missing, err := missingParts(cache, names)
	if err != nil {
		return err
	}
	with, err := systemTools(ctx, len(missing) > 0, progress)
	if err != nil {
		return err
	}
	// What uv downloads is linked into the environments and not needed after that.
	defer os.RemoveAll(downloads(cache))
	for _, step := range inOrder(missing) {
		if err := installAll(ctx, with, cache, step, progress); err != nil {
			return err
		}
	}
	return nil
}

// Complete tells whether Install has nothing left to put into the folder.
func Complete(cache string, names ...string) bool {
	missing, err := missingParts(cache, names)
	return err == nil && len(missing) == 0
}

// missingParts are those that are wanted and not complete.
func missingParts(cache string, names []string) (missing []part, err error) {
	all, err := parts(cache)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p part) bool { return p.name == name }) {
			return nil, fmt.Errorf("there is no %s to install; there are %s", name, Targets)
		}
	}
	for _, part := range all {
		wanted := len(names) == 0 || part.name == uvName || slices.Contains(names, part.name)
		if wanted && !part.complete(cache) {
			missing = append(missing, part)
		}
	}
	return missing, nil
}

// inOrder puts the installer of the others before them; those do not know each other.
func inOrder(parts []part) [][]part {
	var tool, targets []part
	for _, part := range parts {
		if part.name == uvName {
			tool = append(tool, part)
			continue
		}
		targets = append(targets, part)
	}
	return [][]part{tool, targets}
}

// installAll installs side by side: half of each is waiting for the network.
func installAll(ctx context.Context, with tools, cache string, parts []part, progress io.Writer) error {
	var mu sync.Mutex // of progress
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error {
			begun := time.Now()
			if err := part.install(ctx, with, cache); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(progress, "installed %s in %.1f s\n", part.name, time.Since(begun).Seconds())
			return nil
		})
	}
	return group.Wait()
}

func parts(cache string) ([]part, error) {
	uv, err := pins("uv")
	if err != nil {
		return nil, err
	}
	all := []part{{name: uvName, recipe: uv, make: func(ctx context.Context, with tools, dir string) error {
		return makeUV(ctx, with, dir, uv)
	}}}
	for _, target := range Targets {
		if target.System == UAASystem {
			all = append(all, part{name: target.String(), recipe: uaaRecipe(), make: makeUAA})
			continue
		}
		packages, err := pins(target.String())
		if err != nil {
			return nil, err
		}
		all = append(all, part{name: target.String(), recipe: airflowLayout + packages, make: func(ctx context.Context, with tools, dir string) error {
			if err := makeAirflow(ctx, with, filepath.Join(cache, uvName), downloads(cache), dir, packages); err != nil {
				return err
			}
			return makeDatabase(ctx, dir, target.Version)
		}})
	}
	return all, nil
}

func downloads(cache string) string { return filepath.Join(cache, "downloads") }

const marker = ".complete"

func (p part) sum() string {
	sum := sha256.Sum256([]byte(p.recipe))
	return hex.EncodeToString(sum[:])
}

func (p part) complete(cache string) bool {
	content, err := os.ReadFile(filepath.Join(cache, p.name, marker))
	return err == nil && string(content) == p.sum()
}

// install makes a part from nothing: half of an earlier attempt is of no use. It
// works in the final folder, since a Python environment knows its own path.
func (p part) install(ctx context.Context, with tools, cache string) error {
	dir := filepath.Join(cache, p.name)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what is left of %s: %w", p.name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", p.name, err)
	}
	if err := p.make(ctx, with, dir); err != nil {
		return fmt.Errorf("install %s: %w", p.name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, marker), []byte(p.sum()), 0o644); err != nil {
		return fmt.Errorf("mark %s as complete: %w", p.name, err)
	}
	return nil
}

// installed is the folder of a part that a server is about to be started from.
func installed(cache, name string) (dir string, err error) {
	if cache == "" {
		if cache, err = Cache(); err != nil {
			return "", err
		}
	}
	all, err := parts(cache)
	if err != nil {
		return "", err
	}
	for _, part := range all {
		if part.name == name && part.complete(cache) {
			return filepath.Join(cache, name), nil
		}
	}
	return "", fmt.Errorf("%s is not installed in %s: `make e2e` does it, or `go run ./integration/real/install %s`", name, cache, name)
}

// lock waits until no other process installs into the same folder.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cache folder's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the cache folder: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing unlocks
}

// command runs one program of an installation. What it said is told only if it
// failed: on a good day it is hundreds of lines that nobody reads. env is its whole
// environment; nil hands down ours.
func command(ctx context.Context, env []string, program string, arguments ...string) error {
	run := exec.CommandContext(ctx, program, arguments...)
	run.Env = env
	said, err := run.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s %s: %w\n%s", program, strings.Join(arguments, " "), err, lastLines(said, 20))
	}
	return nil
}

func lastLines(text []byte, count int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
