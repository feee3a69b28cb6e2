package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

// bare does what a whole job does with plain helm commands.
func (r *run) bare(ctx context.Context) error {
	values, err := json.Marshal(r.Values)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"show", "chart", r.Chart},
		{"template", r.Release, r.Chart, "--values=-"},
		{"install", r.Release, r.Chart, "--values=-", "--wait", "--timeout=5m", "--namespace=default"},
		{"status", r.Release, "--namespace=default", "--output=json"},
		{"uninstall", r.Release, "--wait", "--namespace=default"},
	} {
		if err := r.step(args[0], func() error {
			r.helms.add(args[0])
			cmd := exec.CommandContext(ctx, r.Binary, args...)
			cmd.Env, cmd.Stdin = r.Env, bytes.NewReader(values)
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
