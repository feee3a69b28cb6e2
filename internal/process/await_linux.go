package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// awaitExit returns when a process that was started has ended, to be called before Wait. A Wait that
// has to wait blocks a thread in a system call, which keeps Go's scheduler awake: a millisecond of
// processor time for each of them, half of what a process costs here. The poller, which has this wait with
// all others, costs nothing. Where it cannot tell, or ctx and the time to end after it are over,
// the rest is left to Wait.
func awaitExit(ctx context.Context, cmd *exec.Cmd) {
	// A descriptor of its own: Wait's must block. Nobody takes the pid over before Wait.
	pidfd, err := unix.PidfdOpen(cmd.Process.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return // Linux before 5.10
	}
	file := os.NewFile(uintptr(pidfd), "pidfd")
	defer file.Close()
	defer context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now().Add(cmd.WaitDelay + time.Second)) })()
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	// The poller tells an end once, and forgets what it was told before Read began. So each look asks
	// the process: an end before the look is seen by it, and an end after it wakes Read for the next.
	ended := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	_ = conn.Read(func(uintptr) bool {
		n, err := unix.Poll(ended, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}
