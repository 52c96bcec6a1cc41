//go:build !unix

package airflow

import "os/exec"

// killWhole leaves a command's children alone where there are no groups of processes.
func killWhole(*exec.Cmd) {}
