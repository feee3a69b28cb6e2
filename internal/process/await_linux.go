package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// awaitExit returns when a started process has ended; call it before Wait. A Wait that has to wait blocks
// a thread in a system call, which keeps Go's scheduler awake: a millisecond of processor time each, half
// of what a process costs here. The poller, which waits for all at once, costs nothing. If the poller
// cannot be used, or ctx and the grace period after it are over, Wait does the rest.
func awaitExit(ctx context.Context, cmd *exec.Cmd) {
	// A separate descriptor: Wait's must block. The pid is not reused before Wait.
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
	// The poller reports an end once, and forgets what happened before Read began. So each look asks
	// the process: it sees an end before the look, and an end after it wakes Read for the next look.
	ended := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	_ = conn.Read(func(uintptr) bool {
		n, err := unix.Poll(ended, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}
