//go:build unix

package job

import (
	"os/exec"
	"syscall"
)

// inGroup starts a command in a process group of its own, which stop asks to end and kill ends.
func inGroup(cmd *exec.Cmd) (stop, kill func() error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	send := func(s syscall.Signal) func() error {
		return func() error { return syscall.Kill(-cmd.Process.Pid, s) }
	}
	return send(syscall.SIGTERM), send(syscall.SIGKILL)
}
