package tools

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// emptyCache gives the test a cache folder in which nothing is built.
func emptyCache(t *testing.T) {
	t.Helper()
	// The go command keeps its own cache, or everything would be compiled anew.
	output, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		t.Skip("no go command: ", err)
	}
	folders := strings.Fields(string(output))
	t.Setenv("GOCACHE", folders[0])
	t.Setenv("GOMODCACHE", folders[1])
	home := t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, home)
	}
}

func TestPath(t *testing.T) {
	emptyCache(t)
	for _, tool := range All() {
		_, err := Path(tool.Name)
		if !errors.Is(err, ErrNotBuilt) || !strings.Contains(err.Error(), "cmd/tools "+tool.Name) {
			t.Errorf("%s: %v", tool.Name, err)
		}
	}
	if _, err := Path("helm2"); err == nil || !strings.Contains(err.Error(), "helm3") {
		t.Errorf("an unknown tool does not name the known ones: %v", err)
	}
}

func TestHelmsOfAnyVersion(t *testing.T) {
	for name, want := range map[string]Tool{
		"helm@v3.14.4":         helm("helm", "v3.14.4"),
		"helm@v4.0.5":          helm("helm", "v4.0.5"),
		"helm@" + helm3Version: helm("helm3", helm3Version),
		"helm@" + helm4Version: helm("helm4", helm4Version),
	} {
		if got, err := find(name); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"helm", "helm@3.14.4", "helm@v5.0.0", "helm@v3.14", "helm@v3.14.4/../x"} {
		if got, err := find(name); err == nil {
			t.Errorf("%s is %+v", name, got)
		}
	}
	emptyCache(t)
	if _, err := Path("helm@v3.14.4"); err == nil || !strings.Contains(err.Error(), "cmd/tools helm@v3.14.4") {
		t.Errorf("got %v", err)
	}
}

func TestBuildOnceByTwo(t *testing.T) {
	emptyCache(t)
	var logs [2]bytes.Buffer
	var wait sync.WaitGroup
	for i := range logs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := Build(context.Background(), &logs[i], "guard"); err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	if said := logs[0].String() + logs[1].String(); strings.Count(said, "built in") != 1 {
		t.Errorf("not built exactly once:\n%s", said)
	}
	path, err := Path("guard")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path) + ".tmp"); !os.IsNotExist(err) {
		t.Errorf("a temporary folder is left: %v", err)
	}
}

func TestBuildCancelled(t *testing.T) {
	emptyCache(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Build(ctx, &bytes.Buffer{}, "guard"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := Path("guard"); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("got %v, want ErrNotBuilt", err)
	}
}

func TestSourceIsTheVersion(t *testing.T) {
	tree := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module github.com/sut-bench/helmexec\n")
	write("e2e/guard/main.go", "package main\n")
	t.Chdir(filepath.Join(tree, "e2e", "guard"))
	guard, err := find("guard")
	if err != nil {
		t.Fatal(err)
	}
	path := func() string {
		t.Helper()
		path, err := guard.path()
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := path()
	write("e2e/guard/main_test.go", "package main\n")
	if path() != first {
		t.Error("a test changes the version")
	}
	write("e2e/guard/main.go", "package main // changed\n")
	if path() == first {
		t.Error("a change of the source does not change the version")
	}
}
