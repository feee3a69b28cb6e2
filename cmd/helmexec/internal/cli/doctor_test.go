package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// helm takes no notice of a file of KUBECONFIG that is not there, and asks a cluster on this host.
func TestDoctorMissesKubeconfig(t *testing.T) {
	b := newBench(t)
	t.Setenv("KUBECONFIG", b.dir+"/gone")
	assert.Regexp(t, `kubeconfig +warning +of KUBECONFIG: stat DIR/gone: no such file`, b.run("doctor").stdout)
}
