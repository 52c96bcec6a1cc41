//go:build unix

package airflow

import (
	"os/exec"
	"syscall"
)

// killWhole gives a command a group of its own, so that its children end with it.
func killWhole(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
