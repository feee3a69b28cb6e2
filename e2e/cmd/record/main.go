// Command record makes the recordings of real Helms again: their messages when something goes
// wrong, and their reports of pods that are not ready. Run it in the folder e2e, for the Helms that
// "make tools" builds or for the given binaries:
//
//	go run ./cmd/record
//	go run ./cmd/record -root .. /usr/local/bin/helm
//
// If a Helm does not fail in a scene, the scene is left out for that version, and the command says
// so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sut-bench/helmexec/internal/tools"
)

func main() {
	root := flag.String("root", "..", "the top folder of the source tree that gets the recordings")
	only := flag.String("only", "", "record the scenes alone whose name has this in it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := record(ctx, *root, *only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		stop()
		os.Exit(1)
	}
}

func record(ctx context.Context, root, only string, helms []string) error {
	if len(helms) == 0 {
		for _, name := range []string{"helm3", "helm4"} {
			path, err := tools.Path(name)
			if err != nil {
				return err
			}
			helms = append(helms, path)
		}
	}
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	var failures []error
	for _, helm := range helms {
		text, err := exec.CommandContext(ctx, helm, "version", "--template={{.Version}}").Output()
		if err != nil {
			return fmt.Errorf("%s: %w", helm, err)
		}
		version := strings.TrimSpace(string(text))
		for _, s := range scenes {
			if !strings.Contains(s.name, only) {
				continue
			}
			said, err := w.play(ctx, helm, s)
			if err != nil {
				failures = append(failures, fmt.Errorf("%s: %s: %w", version, s.name, err))
				continue
			}
			file := filepath.Join(root, "internal/helmtext/testdata/stderr", version, s.name+".txt")
			switch {
			case s.says:
				file = filepath.Join(root, "internal/helmtext/testdata/stdout", version, s.name+".txt")
			case s.status:
				file = filepath.Join(root, "testdata/status", version, s.name+".json")
			}
			if err := write(file, said); err != nil {
				return err
			}
		}
	}
	return errors.Join(failures...)
}

func write(file, text string) error {
	if text == "" {
		fmt.Println(file, "has nothing to record")
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	fmt.Println(file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
