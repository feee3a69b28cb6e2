package helmexec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/home"
)

// cacheOf makes a Helm that has a home and never starts its helm.
func cacheOf(t *testing.T, limits Limits) *Helm {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Binary: self, Home: t.TempDir(), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// keep puts a chart into the cache and makes it as old as it says.
func keep(t *testing.T, h *Helm, name string, age time.Duration) *Chart {
	t.Helper()
	archive, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n"})
	if err != nil {
		t.Fatal(err)
	}
	path := h.archive("sha256:" + archive.Digest)
	when := time.Now().Add(-age)
	if err := errors.Join(os.WriteFile(path, archive.Data, 0o600), os.Chtimes(path, when, when)); err != nil {
		t.Fatal(err)
	}
	return &Chart{Path: path, Digest: "sha256:" + archive.Digest}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestEviction(t *testing.T) {
	h := cacheOf(t, Limits{Cache: 1}) // less than any archive has
	other, err := New(h.cfg)          // as another process would
	if err != nil {
		t.Fatal(err)
	}
	const old = 24 * time.Hour
	unused, held, recent := keep(t, h, "unused", old), keep(t, h, "held", old), keep(t, h, "recent", keptAtLeast/2)
	release := other.hold(t.Context(), held)
	h.evict()
	for _, test := range []struct {
		name string
		ch   *Chart
		kept bool
	}{{"unused", unused, false}, {"held", held, true}, {"recent", recent, true}} {
		if there(test.ch.Path) != test.kept {
			t.Errorf("%s: kept %v, want %v", test.name, !test.kept, test.kept)
		}
	}
	release()
	h.evict()
	if there(held.Path) {
		t.Error("what was held and is released was not evicted")
	}
}

func TestEvictionTakesTheOldestUntilTheRestFits(t *testing.T) {
	h := cacheOf(t, Limits{})
	var all []*Chart
	for i := range 6 {
		all = append(all, keep(t, h, fmt.Sprint("chart-", i), time.Duration(i+1)*time.Hour))
	}
	h.evict()
	if !there(all[5].Path) {
		t.Fatal("evicted although everything fits")
	}
	info, err := os.Stat(all[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	h.cfg.Limits.Cache = 3*info.Size() + info.Size()/2
	h.evict()
	for i, ch := range all {
		if there(ch.Path) != (i < 3) {
			t.Errorf("the chart used %d hours ago: kept %v", i+1, there(ch.Path))
		}
	}
}

func TestKept(t *testing.T) {
	h := cacheOf(t, Limits{})
	src := chartSource{chart: "web"}
	ch := keep(t, h, "web", 24*time.Hour)
	if got := h.kept(t.Context(), src, ch.Digest); got == nil || got.Metadata.Name != "web" {
		t.Fatalf("got %+v", got)
	}
	if info, err := os.Stat(ch.Path); err != nil || time.Since(info.ModTime()) > 23*time.Hour {
		t.Errorf("it is not marked as used: %v, %v", info.ModTime(), err)
	}
	if got := h.kept(t.Context(), chartSource{chart: "api"}, ch.Digest); got != nil {
		t.Errorf("another chart's archive was taken: %+v", got)
	}
	if got := h.kept(t.Context(), src, "sha256:"+strings.Repeat("0", 64)); got != nil {
		t.Errorf("what is not there was found: %+v", got)
	}
	other := keep(t, h, "web2", 0)
	text, err := os.ReadFile(other.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ch.Path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := h.kept(t.Context(), chartSource{}, ch.Digest); got != nil {
		t.Errorf("an archive under another's name was taken: %+v", got)
	}
}

func TestSweepOfWhatNobodyUses(t *testing.T) {
	h := cacheOf(t, Limits{})
	tmp := func(name string) string { return h.home.Path("tmp", name) }
	for name, age := range map[string]time.Duration{"pull-old": 48 * time.Hour, "pull-new": time.Hour} {
		when := time.Now().Add(-age)
		if err := errors.Join(os.MkdirAll(filepath.Join(tmp(name), "archive"), 0o700), os.Chtimes(tmp(name), when, when)); err != nil {
			t.Fatal(err)
		}
	}
	h.evict()
	if there(tmp("pull-old")) || !there(tmp("pull-new")) {
		t.Errorf("old is there: %v, new is there: %v", there(tmp("pull-old")), there(tmp("pull-new")))
	}

	when := time.Now().Add(-keptPins - time.Hour)
	old, recent := h.pinFile("old"), h.pinFile("recent")
	if err := errors.Join(os.WriteFile(old, nil, 0o600), os.Chtimes(old, when, when), os.WriteFile(recent, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	h.evict()
	if there(old) || !there(recent) {
		t.Errorf("the old pin is there: %v, the recent one is there: %v", there(old), there(recent))
	}
}

// After a month a source is asked again what it has.
func TestOldPins(t *testing.T) {
	h := cacheOf(t, Limits{})
	for age, want := range map[time.Duration]bool{time.Hour: true, keptPins - time.Hour: true, keptPins + time.Hour: false} {
		text, err := json.Marshal(pin{"sha256:" + strings.Repeat("0", 64), time.Now().Add(-age)})
		if err == nil {
			err = home.WriteFile(h.pinFile("x"), text)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := h.readPin("x"); ok != want {
			t.Errorf("a pin of %v ago is good: %v, want %v", age, ok, want)
		}
	}
}
