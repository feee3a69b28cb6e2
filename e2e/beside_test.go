package e2e

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sut-bench/helmexec"
)

// withSomebodyElse makes a Helm whose binary is a script, which runs commands of somebody else at a moment of its own, and
// then the real helm: $H is that one, $SOMEWHERE its flags for this namespace, $ONCE a file that is not there yet.
func (b *bed) withSomebodyElse(script string) *helmexec.Helm {
	dir := b.TempDir()
	path := filepath.Join(dir, "helm")
	text := fmt.Sprintf("#!/bin/sh\nH=%s\nSOMEWHERE='--namespace %s --kubeconfig %s'\nONCE=%s\n%s\nexec $H \"$@\"\n",
		b.binaries[b.helm], b.namespace, b.cfg.Kubeconfig, filepath.Join(dir, "once"), script)
	b.must(os.WriteFile(path, []byte(text), 0o700))
	return b.newHelm(func(cfg *helmexec.Config) { cfg.Binary = path })
}

// rollbackBesideAnUpgrade: what somebody else did after the rollback stays.
func rollbackBesideAnUpgrade(b *bed) {
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{})
	b.must(err)
	_, err = b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{Values: helmexec.Values{"greeting": "two"}})
	b.must(err)
	chart, err := filepath.Abs(sutChart)
	b.must(err)
	h := b.withSomebodyElse(`if [ "$1" = rollback ] && ! [ -e "$ONCE" ]; then
	touch "$ONCE"; $H "$@" || exit; $H upgrade $SOMEWHERE --set greeting=theirs web ` + chart + ` >/dev/null; exit
fi`)
	rel, err := h.Rollback(b.ctx, "web", helmexec.RollbackOptions{})
	b.must(err)
	if rel.Revision != 3 {
		b.Errorf("rolled back by %+v, want revision 3", rel)
	}
	history, err := b.h.History(b.ctx, "web", helmexec.HistoryOptions{})
	b.must(err)
	if len(history) != 4 || history[3].Status != helmexec.StatusDeployed || history[3].Description != "Upgrade complete" {
		b.Errorf("history is %+v", history)
	}
}

// upgradeBesideAPurge: the history that an upgrade found is purged before its helm runs, which then installs.
func upgradeBesideAPurge(b *bed) {
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{})
	b.must(err)
	_, err = b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{KeepHistory: true, Wait: true})
	b.must(err)
	h := b.withSomebodyElse(`if [ "$1" = upgrade ]; then $H uninstall $SOMEWHERE web >/dev/null; fi`)
	rel, err := h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{Install: true})
	b.must(err)
	if rel.Revision != 1 || rel.Status != helmexec.StatusDeployed {
		b.Errorf("upgraded to %+v", rel)
	}
}

// hookOfTheInstallAfterAnUpgrade stays, though the latest record does not say that it ran.
func hookOfTheInstallAfterAnUpgrade(b *bed) {
	values := hookThat("pre-install", "")
	values["hook"].(map[string]any)["policy"] = "before-hook-creation"
	_, err := b.h.Install(b.ctx, "web", sutChart, helmexec.InstallOptions{Values: values})
	b.must(err)
	_, err = b.h.Upgrade(b.ctx, "web", sutChart, helmexec.UpgradeOptions{Values: values})
	b.must(err)
	result, err := b.h.Uninstall(b.ctx, "web", helmexec.UninstallOptions{Wait: true})
	b.must(err)
	b.wantNames(result.Remains, "batch/Job "+b.namespace+"/web-hook")
	b.wantLeft(result.Remains)
}
