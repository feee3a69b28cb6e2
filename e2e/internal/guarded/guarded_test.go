package guarded

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec/internal/tools"
)

// A server that fails is started again, a few times.
func TestStartAgain(t *testing.T) {
	if _, err := tools.Path("guard"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	starts := func() int {
		text, _ := os.ReadFile(filepath.Join(dir, "starts"))
		return strings.Count(string(text), "\n")
	}
	p, err := Start(Server{
		Name: "server", Dir: dir, Log: filepath.Join(dir, "log"), Again: 2,
		Command: []string{"/bin/sh", "-c", "echo >> starts; exit 3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	err = p.Await(t.Context(), func(context.Context) error { return os.ErrNotExist })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || starts() != 3 {
		t.Errorf("%d starts, %v", starts(), err)
	}
}

// One that is stopped is not.
func TestStopEndsIt(t *testing.T) {
	if _, err := tools.Path("guard"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	begun := func(context.Context) error { _, err := os.Stat(filepath.Join(dir, "starts")); return err }
	p, err := Start(Server{
		Name: "server", Dir: dir, Log: filepath.Join(dir, "log"), Again: 2,
		Command: []string{"/bin/sh", "-c", "echo >> starts; exec tail -f /dev/null"},
	})
	if err == nil {
		err = p.Await(t.Context(), begun)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if text, _ := os.ReadFile(filepath.Join(dir, "starts")); string(text) != "\n" {
		t.Errorf("started %q", text)
	}
}
