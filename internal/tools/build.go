package tools

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Build builds the named tools that do not exist yet, one after the other, and logs what it does.
// Two builders of the same tool do not disturb each other: the second waits for the first and finds
// its work done.
func Build(ctx context.Context, log io.Writer, names ...string) error {
	var missing []Tool
	var texts []string
	var cold time.Duration
	for _, name := range names {
		tool, err := find(name)
		if err != nil {
			return err
		}
		if _, err := Path(name); err != nil {
			missing = append(missing, tool)
			texts = append(texts, tool.Name+" "+tool.Version)
			cold += tool.Cold
		}
	}
	if len(missing) > 1 {
		fmt.Fprintf(log, "building what is missing (about %s on two cores when nothing is cached): %s\n", cold, strings.Join(texts, ", "))
	}
	for _, tool := range missing {
		if err := tool.ensure(ctx, log); err != nil {
			return fmt.Errorf("%s %s: %w", tool.Name, tool.Version, err)
		}
	}
	return nil
}

func (t Tool) ensure(ctx context.Context, log io.Writer) error {
	path, err := t.path()
	if err != nil {
		return err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, folder+".lock", func() {
		fmt.Fprintf(log, "%s %s: another process is building it, waiting\n", t.Name, t.Version)
	})
	if err != nil {
		return err
	}
	defer unlock()
	if exists(path) {
		return nil
	}

	fmt.Fprintf(log, "%s %s: building (about %s on two cores when nothing is cached)\n", t.Name, t.Version, t.Cold)
	start := time.Now()
	// Beside the final folder, so that the rename stays within one file system.
	temp := folder + ".tmp"
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := t.compile(ctx, temp, filepath.Base(path)); err != nil {
		return err
	}
	if err := os.Rename(temp, folder); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s %s: built in %s\n", t.Name, t.Version, time.Since(start).Round(100*time.Millisecond))
	return nil
}

func (t Tool) compile(ctx context.Context, folder, binary string) error {
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w " + t.ldflags}
	var cmd *exec.Cmd
	if t.dir != "" {
		root, err := sourceRoot()
		if err != nil {
			return err
		}
		cmd = exec.CommandContext(ctx, "go", append(append([]string{"build"}, flags...), "-o", filepath.Join(folder, binary), ".")...)
		cmd.Dir = filepath.Join(root, filepath.FromSlash(t.dir))
	} else {
		cmd = exec.CommandContext(ctx, "go", append(append([]string{"install"}, flags...), t.pkg+"@"+t.Version)...)
	}
	// Without cgo the binaries need no C compiler, and are the same everywhere.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOBIN="+folder)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// The go command stops its compilers and removes its work folder on an interrupt.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail(output.String(), 20))
	}
	return nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
