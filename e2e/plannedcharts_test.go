package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
)

// notPlanned are the charts of which no plan is made.
var notPlanned = map[string]error{
	"broken-template": helmexec.ErrRenderFailed, "crds-other-objects": helmexec.ErrBadManifest,
}

// notApplied are the charts that Helm, the API server or a hook refuses.
var notApplied = []string{
	"crds-then-refused", "crds-then-unknown", "exists", "generate-name", "hook-endless", "hook-endless-late", "hook-fails", "hook-fails-late",
	"invalid", "invalid-hook", "namespaces-missing", "unknown-kind",
}

// eitherWay are the charts of which it depends on time, or on the Helm, whether they can be applied.
var eitherWay = []string{"quota-refuses", "generate-name-hook", "crds-by-hook"}

// leftOut are charts that change the cluster for all others, or never go away.
func leftOut(chart string) bool {
	return strings.HasPrefix(chart, "webhooks-") || strings.HasPrefix(chart, "namespaces") || strings.HasPrefix(chart, "finalizer") ||
		slices.Contains([]string{"admission-policy", "api-service", "hook-refused-removal", "hook-endless-removal"}, chart)
}

// isWide reports a chart with objects of the whole cluster.
func isWide(chart string) bool { return strings.HasPrefix(chart, "crds") || chart == "policies-wide" }

// TestPlannedCharts: of every chart of ours, what the API server has is what the plan shows, in all its fields.
func TestPlannedCharts(t *testing.T) {
	if shared == nil {
		t.Skip("no cluster: see the first line")
	}
	var charts []string
	for _, folder := range []string{chartsDir, chartsDir + "-odd"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			charts = append(charts, filepath.Join(folder, entry.Name()))
		}
	}
	// Objects of the whole cluster are those of one chart and one Helm at a time.
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			for _, chart := range charts {
				if name := filepath.Base(chart); !leftOut(name) && isWide(name) {
					t.Run(name, func(t *testing.T) {
						b := newBed(t, helm)
						before, err := b.cluster.Everything(b.ctx)
						b.must(err)
						b.plannedChart(chart)
						b.must(b.cluster.Restore(b.ctx, before))
					})
				}
			}
			for _, chart := range charts {
				if name := filepath.Base(chart); !leftOut(name) && !isWide(name) {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						newBed(t, helm).plannedChart(chart)
					})
				}
			}
		})
	}
}

func (b *bed) plannedChart(chart string) {
	name := filepath.Base(chart)
	p, err := b.h.Plan(b.ctx, "web", chart, helmexec.PlanOptions{})
	if want := notPlanned[name]; want != nil {
		b.wantErr(err, want)
		return
	}
	if slices.Contains(slices.Concat(notApplied, eitherWay), name) && errors.Is(err, helmexec.ErrBadManifest) {
		return // helm finds it out when it plans
	}
	b.must(err)
	_, err = b.apply(p, helmexec.ApplyOptions{OperationID: "1", Timeout: 30 * time.Second})
	if refused := slices.Contains(notApplied, name); refused != (err != nil) && !slices.Contains(eitherWay, name) {
		b.Errorf("applied: %v, want an error %v", err, refused)
	}
	remains := remainsOf(err)
	if err == nil {
		timeout := patient
		if strings.HasPrefix(name, "hook-endless") {
			timeout = 15 * time.Second // it is used up
		}
		removed, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: timeout})
		if err == nil {
			remains = removed.Remains
		} else {
			remains = remainsOf(err)
		}
	}
	var here []helmexec.Remain
	for _, remain := range remains {
		if remain.Namespace == b.namespace {
			here = append(here, remain)
		}
	}
	b.wantLeft(here)
}

func remainsOf(err error) []helmexec.Remain {
	var failed *helmexec.ReleaseError
	if errors.As(err, &failed) {
		return failed.Remains
	}
	return nil
}
