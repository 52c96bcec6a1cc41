//go:build !linux

package main

import "os/exec"

// diesWithParent does nothing where the system has no signal for it: a demo that is
// killed with SIGKILL there leaves its brokers behind.
func diesWithParent(*exec.Cmd) {}
