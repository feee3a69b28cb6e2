package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// If a clean-up fails in part, stderr says what is removed as the page does, with what Helm leaves.
func TestJobCleanInPart(t *testing.T) {
	removed := view.Cleaned{Removed: []view.Removed{{
		Release: &view.Release{Name: "job-42-sut-a"},
		Remains: []view.Remain{{Object: view.Object{Kind: "Secret", Name: "key"}, Cause: "resource policy", State: "there", Why: "\x1b[31mred"}},
	}}}
	var stdout, stderr strings.Builder
	a := app{out: &out.Printer{Stdout: &stdout, Stderr: &stderr}}
	failed := errors.New("one stays")
	assert.Equal(t, failed, a.printCleaned(removed, false, failed))
	assert.Empty(t, stdout.String())
	assert.Equal(t, "job-42-sut-a is removed\nHelm leaves Secret key (resource policy, there) \\x1b[31mred\n"+
		"what Helm leaves stays until somebody removes it: kubectl delete KIND NAME -n NAMESPACE\n", stderr.String())

	stderr.Reset()
	assert.Equal(t, failed, a.printCleaned(view.Cleaned{}, false, failed))
	assert.Empty(t, stderr.String())
}

// Before a look has succeeded there is nothing to say of it.
func TestProgressBeforeTheFirstLook(t *testing.T) {
	p := helmexec.Progress{Err: helmexec.ErrClusterUnreachable}
	assert.Equal(t, "the cluster does not answer", view.Progress(p))
	p.Err = errors.New("forbidden")
	assert.Equal(t, "forbidden", view.Progress(p))
	p.Blocker = &helmexec.Blocker{Reason: "FailedCreate"}
	assert.Contains(t, view.Progress(p), "forbidden; before, 0 of 0 pods ready; ")
}
