//go:build !linux

package process

import (
	"context"
	"os/exec"
)

func awaitExit(context.Context, *exec.Cmd) {}
