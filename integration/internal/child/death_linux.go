package child

import "syscall"

// signalWithParent has the kernel send the signal when the thread that forked the
// child is gone. It is set after the change of user, which would clear it.
func signalWithParent(attributes *syscall.SysProcAttr, signal syscall.Signal) {
	attributes.Pdeathsig = signal
}
