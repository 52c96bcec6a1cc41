//go:build unix

package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// install lays out an installation that can tell its version and nothing else.
func install(t *testing.T, root, folder, version string) string {
	t.Helper()
	dir := filepath.Join(root, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\necho '" + program + " (PostgreSQL) " + version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindPrefersPathThenTheNewest(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	onPath := install(t, root, "elsewhere/bin", "13.4")
	old := install(t, root, "lib/9.6/bin", "9.6.24")
	newest := install(t, root, "lib/17/bin", "17.2 (Debian 17.2-1)")
	install(t, root, "lib/9/bin", "not a version")
	half := install(t, root, "lib/18/bin", "18.0")
	if err := os.Remove(filepath.Join(half, "initdb")); err != nil {
		t.Fatal(err)
	}
	links := filepath.Join(root, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"postgres", "initdb"} {
		if err := os.Symlink(filepath.Join(onPath, program), filepath.Join(links, program)); err != nil {
			t.Fatal(err)
		}
	}
	usual := []string{filepath.Join(root, "lib/*/bin")}

	for name, test := range map[string]struct {
		path, major, want string
	}{
		"on PATH":                       {onPath, "", onPath},
		"through links on PATH":         {links, "", onPath},
		"newest of the usual folders":   {"", "", newest},
		"an older one when asked":       {"", "9.6", old},
		"the one asked for, not PATH's": {onPath, "17", newest},
	} {
		got, err := find(test.path, usual, test.major)
		if err != nil || got.folder != test.want {
			t.Errorf("%s: got %v, %v; want %s", name, got, err, test.want)
		}
	}
	if _, err := find("", usual, "12"); err == nil || !strings.Contains(err.Error(), "12") {
		t.Errorf("a version that is nowhere: got %v, want an error that names it", err)
	}
	if _, err := find("", nil, ""); err == nil || !strings.Contains(err.Error(), "install") {
		t.Errorf("none at all: got %v, want an error that says how to install it", err)
	}
}
