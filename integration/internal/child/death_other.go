//go:build unix && !linux

package child

import "syscall"

// signalWithParent does nothing: only Linux knows a parent-death signal. The
// warden alone stands guard here.
func signalWithParent(*syscall.SysProcAttr, syscall.Signal) {}
