package main

import "syscall"

// withParent lets the kernel end the command when the guard itself is killed.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
