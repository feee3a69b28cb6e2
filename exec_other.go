//go:build !linux

package helmexec

import "os/exec"

func watchExit(*exec.Cmd) (await func()) { return func() {} }
