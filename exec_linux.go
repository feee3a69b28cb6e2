package helmexec

import (
	"os"
	"os/exec"
	"syscall"
)

// watchExit prepares a command that was not started yet, and gives a function that returns when its
// process has ended, to be called before Wait. A Wait that has to wait blocks a thread in a system call,
// which keeps Go's scheduler awake: a millisecond of processor time for each helm, half of what a
// process costs here. The poller, which has this wait with all others, costs nothing.
func watchExit(cmd *exec.Cmd) (await func()) {
	pidfd := -1
	cmd.SysProcAttr.PidFD = &pidfd
	return func() {
		if pidfd < 0 {
			return // the kernel is too old
		}
		// Only what does not block is polled.
		_ = syscall.SetNonblock(pidfd, true)
		file := os.NewFile(uintptr(pidfd), "pidfd")
		defer file.Close()
		// The flag is shared with the descriptor that Wait has.
		defer func() { _ = syscall.SetNonblock(pidfd, false) }()
		if conn, err := file.SyscallConn(); err == nil {
			looks := 0
			_ = conn.Read(func(uintptr) bool { looks++; return looks > 1 })
		}
	}
}
