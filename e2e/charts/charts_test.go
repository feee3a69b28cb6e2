package charts

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

// folderVariable names a folder of charts to try instead of ours, and tableVariable a file for its
// table. With applyVariable each chart is planned, and the plan applied.
const (
	folderVariable = "CHARTS"
	tableVariable  = "CHARTS_TABLE"
	applyVariable  = "CHARTS_APPLY"
	clusters       = 4
)

var (
	interrupted context.Context
	beds        chan *bed
	missing     error // why there are no beds
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", fmt.Sprint(clusters))
	}
	os.Exit(start(m))
}

func start(m *testing.M) int {
	ctx, stop := guarded.UntilInterrupted()
	defer stop()
	interrupted = ctx
	dir, err := os.MkdirTemp("", "helmexec-charts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	beds = make(chan *bed, clusters)
	for i := range clusters {
		beds <- &bed{dir: filepath.Join(dir, fmt.Sprint(i))}
	}
	missing = cluster.Available()
	for _, name := range []string{"helm3", "helm4"} {
		_, err := tools.Path(name)
		missing = errors.Join(missing, err)
	}
	code := m.Run()
	for range clusters {
		(<-beds).stop()
	}
	return code
}

// ready starts the cluster of the bed, if it has none.
func (b *bed) ready(ctx context.Context) error {
	if b.cluster != nil {
		return nil
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	var err error
	b.cluster, err = cluster.Start(ctx, cluster.Options{TempDir: b.dir})
	return err
}

func (b *bed) stop() {
	if b.cluster != nil {
		b.cluster.Stop()
		b.cluster = nil
	}
}

// TestCharts: what a chart leaves is what was reported.
func TestCharts(t *testing.T) {
	if errors.Is(missing, tools.ErrNotBuilt) {
		t.Skip(missing)
	}
	var all []chart
	folders := []string{"../../testdata/charts", "../../testdata/charts-odd"}
	if folder := os.Getenv(folderVariable); folder != "" {
		folders = []string{folder}
	}
	for _, folder := range folders {
		some, err := find(folder)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	for _, c := range all {
		if _, known := wanted[c.name]; !known && os.Getenv(folderVariable) == "" {
			t.Errorf("say in wanted what is to come of %s", c.name)
		}
	}
	var mu sync.Mutex
	var done []*trial
	t.Run("trials", func(t *testing.T) {
		for _, c := range all {
			for _, helm := range []string{"helm3", "helm4"} {
				t.Run(strings.ReplaceAll(c.name, "/", "_")+"/"+helm, func(t *testing.T) {
					t.Parallel()
					tr := try(t, c, helm)
					mu.Lock()
					defer mu.Unlock()
					done = append(done, tr)
				})
			}
		}
	})
	text := table(done)
	t.Log("\n" + text)
	if file := os.Getenv(tableVariable); file != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// try tries one chart in the next bed that is free.
func try(t *testing.T, c chart, helm string) *trial {
	binary, err := tools.Path(helm)
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{chart: c, helm: helm, binary: binary, apply: os.Getenv(applyVariable) != "", times: times{15 * time.Second, time.Minute, 20 * time.Second}}
	want, ours := wanted[c.name], os.Getenv(folderVariable) == ""
	if ours {
		tr.times, tr.noPlan = want.orLong(), want.noPlan
	}
	b := <-beds
	defer func() { beds <- b }()
	if err := b.ready(interrupted); err != nil {
		t.Fatal(err)
	}
	if err := tr.try(interrupted, b); err != nil {
		t.Errorf("%s on %s: %v", c.name, helm, err)
		b.stop()
	}
	t.Logf("%s%s", tr.row(), &tr.log)
	for _, f := range tr.faults {
		t.Error(f)
	}
	if ours && !strings.Contains(tr.outcome, want.outcome) {
		t.Errorf("the outcome is %q, want %q", tr.outcome, want.outcome)
	}
	return tr
}
