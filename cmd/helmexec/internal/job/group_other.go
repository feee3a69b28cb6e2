//go:build !unix

package job

import "os/exec"

// inGroup knows no process groups here: stop and kill end the command itself.
func inGroup(cmd *exec.Cmd) (stop, kill func() error) {
	end := func() error { return cmd.Process.Kill() }
	return end, end
}
