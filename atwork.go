package helmexec

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/home"
)

// notice says what an operation of this home is at work on, from before its helm starts. It stands beside
// the lock of the operation, and means something as long as that is held. So a release is known to its job
// while helm has not recorded it.
type notice struct {
	Release, Namespace, Kubeconfig, KubeContext string
	Job                                         string // the label value, "" where no job was named
}

func noticeFile(lock string) string { return strings.TrimSuffix(lock, ".lock") + ".json" }

// announce writes the notice of an operation.
func (op *operation) announce(job string) error {
	n := notice{Release: op.release, Namespace: op.target.namespace, Kubeconfig: op.target.kubeconfig, KubeContext: op.target.context}
	if job != "" {
		n.Job = labelValueOf(job)
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return home.WriteFile(noticeFile(op.own.Path()), text)
}

// atWork lists the releases of a job that operations of this home are at work on.
func (h *Helm) atWork(jobID string, where target, allNamespaces bool) []Release {
	entries, _ := os.ReadDir(h.locks())
	var releases []Release
	for _, e := range entries {
		name, isNotice := strings.CutSuffix(e.Name(), ".json")
		file := filepath.Join(h.locks(), e.Name())
		text, err := os.ReadFile(file)
		var n notice
		if err != nil || !isNotice || json.Unmarshal(text, &n) != nil {
			continue
		}
		if lock, err := h.host.tryLock(filepath.Join(h.locks(), name+".lock"), filelock.Exclusive); err == nil {
			_ = os.Remove(file) // of a runner that was killed, with its helm
			lock.Release()
			continue
		}
		here := n.Kubeconfig == where.kubeconfig && n.KubeContext == where.context &&
			(allNamespaces || cmp.Or(n.Namespace, "default") == cmp.Or(where.namespace, "default"))
		if here && ofJob(jobID, n.Release, n.Job) {
			releases = append(releases, Release{Name: n.Release, Namespace: n.Namespace})
		}
	}
	return releases
}

// ofJob tells whether a release belongs to a job: by the label that its record has, or where that has none
// by its name.
func ofJob(jobID, release, label string) bool {
	if label != "" {
		return label == labelValueOf(jobID)
	}
	id, _, ok := ParseSUTHelmName(release)
	return ok && id == cleanJobID(jobID)
}
