package main

import (
	"os/exec"
	"syscall"
)

// diesWithParent keeps a broker of the demo from outliving it, however it ends.
func diesWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
