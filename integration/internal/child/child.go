//go:build unix

// Package child runs another program as a child that never outlives us.
//
// The whole-system tests, demo and dev start real servers. A server that
// survives the run which started it holds a port, a data folder and the trust
// of whoever looks next, so the promise here is stronger than "Stop ends it":
//
//	what ends us                  what ends the child
//	----------------------------  ------------------------------------------------
//	Stop                          Config.Interrupt, then SIGKILL after the grace
//	a return, panic or os.Exit    the warden: its pipe closes with us
//	SIGKILL of us                 the warden; on Linux the kernel's parent-death
//	                              signal as well
//	SIGKILL of us and the warden  Linux: the parent-death signal; elsewhere nothing
//	Ctrl-C in the terminal        what we do about it: the child has a process
//	                              group of its own and does not see the signal
//
// The warden is a shell of a few lines that waits for the end of a pipe which
// only we hold open. It exists because the parent-death signal is Linux's alone,
// is forgotten by a program that changes its user, and cannot remove a folder.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Config says what to run. Path is required, every zero value is usable.
type Config struct {
	Path string
	Args []string
	// Env is the child's whole environment; nil hands down ours.
	Env []string
	// Dir is the working directory, "/" if empty: ours may be one that
	// Credential's user cannot enter, or that someone wants to remove.
	Dir string
	// Stdin is what it reads; nil is empty.
	Stdin *os.File
	// Stdout and Stderr receive what it writes; nil discards it. They are files,
	// not writers, because a writer would need a goroutine that has to stop too.
	Stdout, Stderr *os.File
	// ExtraFiles become descriptors 3, 4, … of the child.
	ExtraFiles []*os.File
	// Credential, if set, is the user to run as.
	Credential *syscall.Credential
	// Interrupt asks the child to stop in good order; 0 means SIGTERM.
	Interrupt syscall.Signal
	// OnOrphan is sent when we die without Stop; 0 means SIGKILL.
	OnOrphan syscall.Signal
	// OrphanDir, if set, is a folder that is removed when we die without Stop.
	OrphanDir string
}

// Process is a started child. Its methods may be called from any goroutine.
type Process struct {
	pid       int
	interrupt syscall.Signal
	done      chan struct{}
	err       error // set before done is closed
}

// Start runs the program. Whether it is of any use yet is for the caller to find
// out; Done tells that it never will be.
func Start(c Config) (*Process, error) {
	if c.Dir == "" {
		c.Dir = "/"
	}
	if c.Interrupt == 0 {
		c.Interrupt = syscall.SIGTERM
	}
	if c.OnOrphan == 0 {
		c.OnOrphan = syscall.SIGKILL
	}

	command := exec.Command(c.Path, c.Args...)
	command.Env, command.Dir, command.ExtraFiles = c.Env, c.Dir, c.ExtraFiles
	if c.Stdin != nil {
		command.Stdin = c.Stdin // a nil *os.File would be an interface that is not nil
	}
	if c.Stdout != nil {
		command.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		command.Stderr = c.Stderr
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
	signalWithParent(command.SysProcAttr, c.OnOrphan)

	process := &Process{interrupt: c.Interrupt, done: make(chan struct{})}
	started := make(chan error, 1)
	go process.run(command, c, started)
	if err := <-started; err != nil {
		<-process.done
		return nil, err
	}
	return process, nil
}

// run starts the child and stays with it. The kernel's parent-death signal fires
// when the thread that forked is gone, not the process, so that thread is kept
// for as long as the child lives.
func (p *Process) run(command *exec.Cmd, c Config, started chan<- error) {
	defer close(p.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if err := command.Start(); err != nil {
		started <- fmt.Errorf("start %s: %w", c.Path, err)
		return
	}
	p.pid = command.Process.Pid
	dismiss, err := postWarden(p.pid, c)
	if err != nil {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		_ = command.Wait()
		started <- err
		return
	}
	started <- nil

	p.err = command.Wait()
	// What the child itself started shares its group, and is of no use without it.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	dismiss()
}

// Pid is the child's process id, and its process group's.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the child has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended: nil for exit status 0. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the child to end, kills it with everything it started once the grace
// is over, and returns when it is gone. Stopping twice is no error, nor is a child
// that was asked and then ended with a status of its own.
func (p *Process) Stop(grace time.Duration) error {
	select {
	case <-p.done:
		return nil
	default:
	}

	_ = syscall.Kill(p.pid, p.interrupt)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}

	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
	return fmt.Errorf("process %d ignored %v for %s and was killed", p.pid, p.interrupt, grace)
}

// warden is the shell's part: $1 pid, $2 signal, $3 folder or nothing. Nobody ever
// writes to the pipe, so read returns when the last of its writers is gone: us.
const warden = `read -r _
kill -"$2" "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 100 ]; do tries=$((tries+1)); sleep 0.1; done
kill -KILL -"$1" 2>/dev/null
[ -z "$3" ] || rm -rf -- "$3"`

// postWarden starts the warden as the child's own user, which may signal it and
// owns the folder. The returned function sends it home.
func postWarden(pid int, c Config) (dismiss func(), err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the warden's pipe: %w", err)
	}
	defer read.Close()

	command := exec.Command("/bin/sh", "-c", warden, "warden", strconv.Itoa(pid), strconv.Itoa(int(c.OnOrphan)), c.OrphanDir)
	command.Dir, command.Stdin = "/", read
	command.Env = []string{"PATH=/usr/bin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the warden of process %d: %w", pid, err), write.Close())
	}

	return func() {
		// Killed before its pipe closes, or it would act on a pid that is free again.
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = write.Close()
	}, nil
}
