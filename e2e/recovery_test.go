package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// skippingHelm is a helm whose first uninstall deletes no object, and waits in the meantime until
// its record is removed. So does Helm 4 when it cannot find out whose the objects are.
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
		Wait: true, Timeout: soon, JobID: "7", Values: helmexec.Values{"greeting": "{{ fail `no template` }}", "kind": "StatefulSet"},
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
	result, err := h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true, Timeout: soon})
	b.must(err)
	b.must(<-done)
	if len(result.Remains) != 1 {
		b.Errorf("remains are %v, want a claim", result.Remains)
	}
	b.wantLeft(result.Remains)
	_, err = h.Status(b.ctx, "web", helmexec.StatusOptions{})
	b.wantErr(err, helmexec.ErrReleaseNotFound)
}
