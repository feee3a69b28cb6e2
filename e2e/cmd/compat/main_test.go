package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
)

// Every call of the library is tried.
func TestEveryCallIsTried(t *testing.T) {
	calls := reflect.TypeFor[*helmexec.Helm]()
	for i := range calls.NumMethod() {
		name := calls.Method(i).Name
		tried := func(t trial) bool { return strings.Fields(t.call)[0] == name }
		if !slices.ContainsFunc(trials, tried) {
			t.Errorf("%s is not tried", name)
		}
	}
	for _, trial := range trials {
		if _, there := calls.MethodByName(strings.Fields(trial.call)[0]); !there {
			t.Errorf("%s is no call", trial.call)
		}
	}
}

func TestUsesOf(t *testing.T) {
	got := usesOf(strings.Fields(`get all --template=TEMPLATE --description=for a=b, c --wait -- web --not`))
	want := []use{{"get all", "--template=TEMPLATE"}, {"get all", "--description=for"}, {"get all", "--wait"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFlagsOfProcesses(t *testing.T) {
	all := flags{}
	log := slog.New(seen{slog.DiscardHandler, all, "v3"})
	for range 2 {
		log.Warn("helm", "args", []string{"lint", "--strict", "--", "x"}, "exit", 1)
	}
	if !slices.Equal(all["v3"], []use{{"lint", "--strict"}}) {
		t.Errorf("got %v", all)
	}
}

func TestRecordedFlags(t *testing.T) {
	all, err := readFlags("../../../testdata/argv")
	if err != nil {
		t.Fatal(err)
	}
	for major, u := range map[string]use{"v3": {"install", "--skip-schema-validation"}, "v4": {"uninstall", "--wait=legacy"}} {
		if !slices.Contains(all[major], u) {
			t.Errorf("%s has no %v", major, u)
		}
	}
}

func TestPage(t *testing.T) {
	works, fails := map[string]outcome{}, map[string]outcome{}
	for _, trial := range trials {
		works[trial.call] = ""
	}
	fails["Install with Transform"], fails["Lint"], fails["Push"] = "it failed", "it failed", notTried
	text := page([]result{
		{"v3.14.4", fails, []use{{"install", "--new=1"}, {"lint", "--new"}, {"lint", "--wait=legacy"}}},
		{"v4.3.1", works, nil},
	})
	for _, want := range []string{
		"| call | v3.14.4 | v4.3.1 |\n|---|---|---|\n", "| `Install` with `Transform` | no (1) | yes |\n", "| `Lint` | no (1) | yes |\n", "| `Push` | – | yes |\n", "\n(1) `it failed`\n",
		"| `--new` | `install`, `lint` | v3.14.4 |\n| `--wait=legacy` | `lint` | v3.14.4 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

// A Helm that knows only --old: all that is not one of the others is refused.
func TestUnknownFlags(t *testing.T) {
	helm := filepath.Join(t.TempDir(), "helm")
	script := "#!/bin/sh\nfor word; do case $word in --new*) echo \"Error: unknown flag: $word\"; exit 1;; esac; done\n"
	if err := os.WriteFile(helm, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	all := flags{"v3": {{"install", "--old"}, {"install", "--new=1"}, {"lint", "--old"}}, "v4": {{"lint", "--new"}}}
	unknown, err := all.unknownTo(t.Context(), "v3.14.4", helm)
	if err != nil || !slices.Equal(unknown, []use{{"install", "--new=1"}}) {
		t.Errorf("got %v, %v", unknown, err)
	}
}
