package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// What an event says again is shown once, and what only the event says is shown.
func TestEventsThatRepeat(t *testing.T) {
	const full = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
	for _, test := range []struct{ message, event, want string }{
		{full, "FailedScheduling: " + full, full},
		{full, "", full},
		{"", "FailedMount: no such volume", "FailedMount: no such volume"},
		{"waits", "FailedMount: no such volume", "waits; FailedMount: no such volume"},
	} {
		var p out.Page
		blockersTable(&p, []view.Blocker{{Object: view.Object{Kind: "Pod", Name: "a"}, Reason: "Unschedulable", Message: test.message, Event: test.event}})
		assert.Regexp(t, `Unschedulable +0 +`+test.want+`\n$`, p.String())
		live := view.Progress(helmexec.Progress{Blocker: &helmexec.Blocker{Reason: "Unschedulable", Message: test.message, Event: test.event}})
		assert.LessOrEqual(t, strings.Count(live, full), 1)
		assert.Equal(t, strings.Contains(test.want, "no such volume"), strings.Contains(live, "no such volume"))
	}
}

// A look that failed says so, with what was seen before.
func TestProgressOfAFailedLook(t *testing.T) {
	p := helmexec.Progress{Ready: 1, Total: 2, Err: fmt.Errorf("helm status web: %w: connection refused", helmexec.ErrClusterUnreachable)}
	assert.Equal(t, "the cluster does not answer; before, 1 of 2 pods ready", view.Progress(p))
	p.Err = errors.New("helm status web: forbidden")
	assert.Equal(t, "helm status web: forbidden; before, 1 of 2 pods ready", view.Progress(p))
}

// What Helm leaves is listed with the way to remove it, and a namespace once, without one: others may be in it.
func TestWhatHelmLeaves(t *testing.T) {
	namespace := view.Remain{Object: view.Object{Kind: "Namespace", Name: "bench"}, Cause: "namespace", State: "unknown", Why: "why"}
	removed := func(name string, remains ...view.Remain) view.Removed {
		return view.Removed{Release: &view.Release{Name: name}, Remains: append(remains, namespace)}
	}
	page := func(all ...view.Removed) string {
		var p out.Page
		removedPage(&p, all...)
		return p.String()
	}
	secret := view.Remain{Object: view.Object{Kind: "Secret", Name: "key"}, Cause: "resource policy", State: "there"}
	assert.Equal(t, "a is removed\nHelm leaves Secret key (resource policy, there) \nb is removed\n"+
		"what Helm leaves stays until somebody removes it: kubectl delete KIND NAME -n NAMESPACE\nHelm leaves Namespace bench (namespace, unknown) why\n",
		page(removed("a", secret), removed("b")))
	assert.NotContains(t, page(removed("a"), removed("b")), "kubectl")
}

// The same operation is not repeated with other values, and a name that is taken by a killed one has a way out.
func TestInstallAgain(t *testing.T) {
	b := newBench(t)
	assert.NotContains(t, b.run("install", "web", plain, "--operation-id", "o").stdout, "was there already")
	got := b.run("install", "web", plain, "--operation-id", "o", "--set", "replicas=3")
	assert.Equal(t, 0, got.code, got.stderr)
	assert.Contains(t, got.stdout, "it was there already: the same operation, or a try that seemed lost, made it; chart and values are those of then")

	someReleases(b)
	got = b.run("install", "job-7-sut-web", plain)
	assert.Equal(t, 6, got.code, got.stderr)
	assert.Contains(t, got.stderr, "uninstall waits for that helm, and removes it")
}
