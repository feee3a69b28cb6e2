package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
)

// greedyCharts use more of the machine that renders them than a chart may.
var greedyCharts = map[string]struct {
	template string
	kind     error
}{
	"memory": {`{{ range until 1000000000 }}{{ end }}`, helmexec.ErrRenderTooLarge},
	"time":   {`{{ range until 1000000 }}{{ range until 10000 }}{{ end }}{{ end }}`, helmexec.ErrRenderTimeout},
	"output": {"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  text: {{ repeat 700000000 \"a\" }}\n", helmexec.ErrRenderTooLarge},
}

// chartThatTakesTooMuch is stopped in time, is not tried again, and leaves nothing.
func chartThatTakesTooMuch(b *bed) {
	const memory = 300 << 20
	h := b.newHelm(func(cfg *helmexec.Config) {
		cfg.Limits = helmexec.Limits{RenderMemory: memory, RenderTime: time.Second, RenderOutput: 1 << 20}
	})
	old, err := b.h.Install(b.ctx, "old", sutChart, helmexec.InstallOptions{})
	b.must(err)
	charts := b.TempDir()
	peak := peakMemory(charts)
	for name, greedy := range greedyCharts {
		chart := filepath.Join(charts, name)
		writeChart(b, chart, greedy.template)
		for call, do := range map[string]func() error{
			"lint":     func() error { _, err := h.Lint(b.ctx, chart, helmexec.LintOptions{}); return err },
			"template": func() error { _, err := h.Template(b.ctx, chart, helmexec.TemplateOptions{}); return err },
			"install": func() error {
				_, err := h.Install(b.ctx, "new", chart, helmexec.InstallOptions{Wait: true})
				return err
			},
			"upgrade": func() error {
				_, err := h.Upgrade(b.ctx, "old", chart, helmexec.UpgradeOptions{Wait: true})
				return err
			},
		} {
			err := do()
			if !errors.Is(err, greedy.kind) || !errors.Is(err, helmexec.ErrRenderFailed) || errors.Is(err, helmexec.ErrLeftBehind) {
				b.Errorf("%s, %s: got %v, want %v", name, call, err, greedy.kind)
			}
		}
	}
	large := filepath.Join(charts, "large")
	writeChart(b, large, strings.Replace(greedyCharts["output"].template, "700000000", "2000000", 1))
	_, err = h.Template(b.ctx, large, helmexec.TemplateOptions{})
	b.wantErr(err, helmexec.ErrRenderTooLarge, "printed more than 1 MiB")

	// It keeps growing until it is checked and killed.
	if took := peak(); took < memory/2 || took > 2*memory {
		b.Errorf("a helm took up to %d MiB of memory", took>>20)
	}
	now, err := b.h.History(b.ctx, "old", helmexec.HistoryOptions{})
	b.must(err)
	if len(now) != 1 || now[0].Status != helmexec.StatusDeployed || !now[0].Updated.Equal(old.Updated) {
		b.Errorf("the upgrades left %+v", now)
	}
	removed, err := b.h.Uninstall(b.ctx, "old", helmexec.UninstallOptions{Wait: true})
	b.must(err)
	b.wantLeft(removed.Remains)
}

func writeChart(b *bed, dir, template string) {
	b.Helper()
	b.must(os.MkdirAll(filepath.Join(dir, "templates"), 0o700))
	b.must(os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("apiVersion: v2\nname: greedy\nversion: 1.0.0\n"), 0o600))
	b.must(os.WriteFile(filepath.Join(dir, "templates", "a.yaml"), []byte(template), 0o600))
}

// peakMemory watches the processes that have a text in their arguments. The function it returns ends
// that and returns the most bytes of memory that one of them had.
func peakMemory(text string) (end func() int64) {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		peak := int64(0)
		for {
			processes, _ := filepath.Glob("/proc/[0-9]*")
			for _, process := range processes {
				if args, err := os.ReadFile(filepath.Join(process, "cmdline")); err != nil || !bytes.Contains(args, []byte(text)) {
					continue
				}
				status, _ := os.ReadFile(filepath.Join(process, "status"))
				_, rest, _ := strings.Cut(string(status), "VmHWM:")
				if f := strings.Fields(rest); len(f) > 0 {
					kib, _ := strconv.ParseInt(f[0], 10, 64)
					peak = max(peak, kib<<10)
				}
			}
			select {
			case <-stop:
				most <- peak
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}
