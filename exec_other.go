//go:build !linux

package helmexec

import (
	"context"
	"os/exec"
)

func awaitExit(context.Context, *exec.Cmd) {}
