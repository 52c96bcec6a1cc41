//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// account is the user the server runs as. The zero value is ourselves.
type account struct {
	credential *syscall.Credential
}

// accountFor decides whom to run as. Only root has a choice, and needs one, since
// Postgres refuses to be root: data that somebody owns stays theirs.
func accountFor(dataDir string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	if info, err := os.Stat(dataDir); err == nil {
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 0 {
			return account{&syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("read the uid of user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("read the gid of user %s: %w", name, err)
		}
		return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, errors.New("postgres does not run as root, and there is neither a user postgres nor nobody to run it as: add one of them, or start this as an ordinary user")
}

// own gives a folder and all in it to the account.
func (a account) own(dir string) error {
	if a.credential == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(a.credential.Uid), int(a.credential.Gid))
	})
}

// blocker is the first folder on the way to dir, dir included, that the account
// may not pass through: "" if there is none.
func (a account) blocker(dir string) (string, error) {
	if a.credential == nil {
		return "", nil
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", dir, err)
	}
	var blocked string
	for folder := real; ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil {
			return "", fmt.Errorf("look at %s: %w", folder, err)
		}
		if !a.mayEnter(info) {
			blocked = folder
		}
		if folder == filepath.Dir(folder) {
			return blocked, nil
		}
	}
}

func (a account) mayEnter(info fs.FileInfo) bool {
	owner := info.Sys().(*syscall.Stat_t)
	switch {
	case owner.Uid == a.credential.Uid:
		return info.Mode()&0o100 != 0
	case owner.Gid == a.credential.Gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// reach gives the name under which the account can use a folder of its own, and
// the files to hand down as extra files for that name to mean anything. Usually
// that is the folder's path and none. Behind a parent that the account may not
// enter, Linux resolves an inherited descriptor without asking the parents.
func (a account) reach(dir string) (name string, extra []*os.File, err error) {
	blocked, err := a.blocker(dir)
	if err != nil {
		return "", nil, err
	}
	if blocked == "" {
		return dir, nil, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("postgres runs as user %d here and may not enter %s: name a data folder elsewhere, or allow it with `chmod o+x %s`", a.credential.Uid, blocked, blocked)
	}
	open, err := os.Open(dir)
	if err != nil {
		return "", nil, fmt.Errorf("open the data folder: %w", err)
	}
	return "/proc/self/fd/3", []*os.File{open}, nil
}
