package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// helm takes no notice of a file of KUBECONFIG that is not there, and asks a cluster on this host.
func TestDoctorMissesKubeconfig(t *testing.T) {
	b := newBench(t)
	t.Setenv("KUBECONFIG", b.dir+"/gone")
	assert.Regexp(t, `kubeconfig +warning +of KUBECONFIG: stat DIR/gone: no such file`, b.run("doctor").stdout)
}

// A helm that may not run is one fault, and not one for each check that needs helm.
func TestDoctorWithoutHelmToAsk(t *testing.T) {
	b := newBench(t)
	got := b.run("doctor", "--min-helm", "v9.0.0")
	assert.Equal(t, 3, got.code)
	assert.Equal(t, 1, strings.Count(got.stdout, "fault"), got.stdout)
	assert.NotContains(t, got.stdout, "cluster")
}
