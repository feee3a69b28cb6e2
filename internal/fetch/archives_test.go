package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/internal/home"
)

func TestEviction(t *testing.T) {
	s := newStore(t, Config{Limits: Limits{Cache: 1}}) // less than any archive has
	other := newStore(t, Config{Home: s.home})         // as another process would
	const old = 24 * time.Hour
	unused, held, recent := keep(t, s, "unused", old), keep(t, s, "held", old), keep(t, s, "recent", keptAtLeast/2)
	release := other.Hold(t.Context(), held.Path)
	s.evict()
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
	s.evict()
	if there(held.Path) {
		t.Error("what was held and is released was not evicted")
	}
}

func TestEvictionTakesTheOldestUntilTheRestFits(t *testing.T) {
	s := newStore(t, Config{})
	var all []*Chart
	for i := range 6 {
		all = append(all, keep(t, s, fmt.Sprint("chart-", i), time.Duration(i+1)*time.Hour))
	}
	s.evict()
	if !there(all[5].Path) {
		t.Fatal("evicted although everything fits")
	}
	info, err := os.Stat(all[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	s.limits.Cache = 3*info.Size() + info.Size()/2
	s.evict()
	for i, ch := range all {
		if there(ch.Path) != (i < 3) {
			t.Errorf("the chart used %d hours ago: kept %v", i+1, there(ch.Path))
		}
	}
}

func TestKept(t *testing.T) {
	s := newStore(t, Config{})
	src := source{chart: "web"}
	ch := keep(t, s, "web", 24*time.Hour)
	if got := s.cached(t.Context(), src, ch.Digest, false); got == nil || got.Metadata.Name != "web" {
		t.Fatalf("got %+v", got)
	}
	if info, err := os.Stat(ch.Path); err != nil || time.Since(info.ModTime()) > 23*time.Hour {
		t.Errorf("it is not marked as used: %v, %v", info.ModTime(), err)
	}
	if got := s.cached(t.Context(), source{chart: "api"}, ch.Digest, false); got != nil {
		t.Errorf("another chart's archive was taken: %+v", got)
	}
	if got := s.cached(t.Context(), src, "sha256:"+strings.Repeat("0", 64), false); got != nil {
		t.Errorf("what is not there was found: %+v", got)
	}
	other := keep(t, s, "web2", 0)
	text, err := os.ReadFile(other.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ch.Path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.cached(t.Context(), source{}, ch.Digest, false); got != nil {
		t.Errorf("an archive under another's name was taken: %+v", got)
	}
}

func TestSweepOfWhatNobodyUses(t *testing.T) {
	s := newStore(t, Config{})
	tmp := func(name string) string { return s.home.Path("tmp", name) }
	for name, age := range map[string]time.Duration{"pull-old": 48 * time.Hour, "pull-new": time.Hour} {
		when := time.Now().Add(-age)
		if err := errors.Join(os.MkdirAll(filepath.Join(tmp(name), "archive"), 0o700), os.Chtimes(tmp(name), when, when)); err != nil {
			t.Fatal(err)
		}
	}
	s.evict()
	if there(tmp("pull-old")) || !there(tmp("pull-new")) {
		t.Errorf("old is there: %v, new is there: %v", there(tmp("pull-old")), there(tmp("pull-new")))
	}

	when := time.Now().Add(-keptPins - time.Hour)
	old, recent := s.pinFile("old"), s.pinFile("recent")
	if err := errors.Join(os.WriteFile(old, nil, 0o600), os.Chtimes(old, when, when), os.WriteFile(recent, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.evict()
	if there(old) || !there(recent) {
		t.Errorf("the old pin is there: %v, the recent one is there: %v", there(old), there(recent))
	}
}

// After a month a source is asked again what it has.
func TestOldPins(t *testing.T) {
	s := newStore(t, Config{})
	for age, want := range map[time.Duration]bool{-time.Hour: false, time.Hour: true, keptPins - time.Hour: true, keptPins + time.Hour: false} {
		text, err := json.Marshal(pin{Digest: "sha256:" + strings.Repeat("0", 64), At: time.Now().Add(-age)})
		if err == nil {
			err = home.WriteFile(s.pinFile("x"), text)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.readPin("x"); ok != want {
			t.Errorf("a pin of %v ago is good: %v, want %v", age, ok, want)
		}
	}
}
