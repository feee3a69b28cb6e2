package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// skippingHelm is a helm whose first uninstall deletes no object, and waits in the meantime until
// its record is removed. So does Helm 4 when it cannot find out who owns the objects.
const skippingHelm = `#!/bin/sh
if [ "$1" = uninstall ] && mkdir '%[1]s/skipping' 2>/dev/null; then
	while [ ! -e '%[1]s/removed' ]; do sleep 0.05; done
	echo 'These resources were not deleted because their ownership could not be verified:'
	exit 0
fi
exec '%[2]s' "$@"
`

func skippedObjectsAreSwept(b *bed) {
	dir := b.TempDir()
	script := filepath.Join(dir, "helm")
	b.must(os.WriteFile(script, []byte(fmt.Sprintf(skippingHelm, dir, b.binaries[b.helm])), 0o700))
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Binary = script })
	_, err := h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{
		Wait: true, Timeout: patient, JobID: "7", Values: helmexec.Values{"greeting": "{{ fail `no template` }}", "kind": "StatefulSet"},
	})
	b.must(err)
	done := make(chan error, 1)
	go func() {
		done <- cluster.Eventually(b.ctx, func(ctx context.Context) error {
			if _, err := os.Stat(filepath.Join(dir, "skipping")); err != nil {
				return err
			}
			record := "/api/v1/namespaces/" + b.namespace + "/secrets/sh.helm.release.v1.web.v1"
			if err := b.cluster.Request(ctx, http.MethodDelete, record, nil, nil); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "removed"), nil, 0o600)
		})
	}()
	result, err := h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	b.must(err)
	b.must(<-done)
	if len(result.Remains) != 1 {
		b.Errorf("remains are %v, want a claim", result.Remains)
	}
	b.wantLeft(result.Remains)
	_, err = h.Status(b.ctx, "web", helmexec.StatusOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
}

// folder writes a chart of these templates, and of the files whose names have a folder.
func (b *bed) folder(files map[string]string) string {
	b.Helper()
	chart := filepath.Join(b.TempDir(), "chart")
	write := func(file, text string) {
		path := filepath.Join(chart, filepath.FromSlash(file))
		b.must(os.MkdirAll(filepath.Dir(path), 0o700))
		b.must(os.WriteFile(path, []byte(text), 0o600))
	}
	write("Chart.yaml", "apiVersion: v2\nname: chart\nversion: 1.0.0\n")
	for file, text := range files {
		if !strings.Contains(file, "/") {
			file = "templates/" + file
		}
		write(file, text)
	}
	return chart
}

// markTakenOff: a chart's own pods can remove the ownership mark from their objects. Helm 4 leaves
// unmarked objects, and succeeds.
func markTakenOff(b *bed) {
	_, err := b.h.Install(b.ctx, "web", b.folder(map[string]string{
		"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: stubborn\n",
	}), helmexec.InstallOptions{})
	b.must(err)
	path := "/api/v1/namespaces/" + b.namespace + "/configmaps/stubborn"
	var object map[string]any
	b.must(b.cluster.Request(b.ctx, http.MethodGet, path, nil, &object))
	delete(object["metadata"].(map[string]any), "annotations")
	b.must(b.cluster.Request(b.ctx, http.MethodPut, path, object, nil))
	_, err = b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: patient})
	left := []helmexec.Remain{}
	if err != nil {
		b.wantErr(err, helmexec.ErrNotGone, "ConfigMap", "stubborn")
		var failed *helmexec.ReleaseError
		errors.As(err, &failed)
		left = failed.Remains
	}
	b.wantLeft(left)
}

// unreadableAndStaying: the objects of a record that is too large to read are not known, and helm
// says that some of them stay.
func unreadableAndStaying(b *bed) {
	_, err := b.h.Install(b.ctx, "web", b.folder(map[string]string{
		"map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: stays\n  finalizers: [example.com/stays]\n# {{ repeat 36000000 \"a\" }}\n",
	}), helmexec.InstallOptions{JobID: "7"})
	b.must(err)
	_, err = b.h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: 3 * time.Second})
	b.wantErr(err, helmexec.ErrNotGone, "not known")
}
