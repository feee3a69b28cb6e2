package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
)

// A plan that somebody may have reviewed is replaced by another one only with --force.
func TestPlanSavedOverAnother(t *testing.T) {
	b := newBench(t)
	saved(b)
	file := b.dir + "/plan.json"
	reviewed := read(t, file)
	got := b.run("plan", "job-42-sut-web", web, "-n", "bench", "--save", file)
	assert.Equal(t, 2, got.code)
	assert.Empty(t, got.stdout)
	assert.Equal(t, reviewed, read(t, file))

	got = b.run("plan", "job-42-sut-web", web, "--force")
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "--force is for the file of --save")

	saved(b) // the same plan again
	got = b.run("plan", "job-42-sut-web", web, "-n", "bench", "--save", file, "--force")
	assert.Equal(t, 0, got.code, got.stderr)
	p, err := plan.Load(t.Context(), file)
	require.NoError(t, err)
	assert.Equal(t, "bench", p.Namespace)
}

// The name of a release and --job say the same job, also if its id is pruned for a name.
func TestJobOfAName(t *testing.T) {
	b := newBench(t)
	for _, args := range [][]string{{helmexec.SUTHelmName("My_Job", "x"), "--job", "My_Job"}, {"web", "--job", "46"}, {"job-45-sut-x"}} {
		got := b.run(append([]string{"install", args[0], plain}, args[1:]...)...)
		assert.Equal(t, 0, got.code, got.stderr)
		assert.Empty(t, got.stderr)
	}
	require.Zero(t, b.run("plan", "job-45-sut-y", plain, "--save", b.dir+"/plan.json").code)
	assert.Contains(t, b.run("apply", b.dir+"/plan.json", "--job", "46").stderr, "job-45-sut-y is a name of job 45, and --job is 46")
}
