package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

func TestRollouts(t *testing.T) {
	for _, test := range []struct {
		name, manifest string
		want           []string
	}{
		{"a Deployment", object("apps/v1", "Deployment", "spec: {replicas: 1, paused: false}"), nil},
		{"one that is paused", object("apps/v1", "Deployment", "spec: {replicas: 1, paused: true}"), []string{"spec.paused"}},
		{"a StatefulSet", object("apps/v1", "StatefulSet", "spec: {replicas: 1, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}}"), nil},
		{"one with a partition", object("apps/v1", "StatefulSet", "spec: {replicas: 1, updateStrategy: {rollingUpdate: {partition: 1}}}"), []string{"spec.updateStrategy.rollingUpdate.partition"}},
		{"one that waits for deletions", object("apps/v1", "StatefulSet", "spec: {replicas: 1, updateStrategy: {type: OnDelete}}"), []string{"spec.updateStrategy.type"}},
		{"a DaemonSet", object("apps/v1", "DaemonSet", "spec: {}"), nil},
		{"a DaemonSet that waits for deletions", object("apps/v1", "DaemonSet", "spec: {updateStrategy: {type: OnDelete}}"), []string{"spec.updateStrategy.type"}},
		{"a ReplicaSet", object("apps/v1", "ReplicaSet", "spec: {replicas: 1}"), []string{"kind"}},
		{"a ReplicationController", object("v1", "ReplicationController", "spec: {replicas: 1}"), []string{"kind"}},
		{"a Job", object("batch/v1", "Job", "spec: {}"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, upgrade := range []bool{true, false} {
				p, err := plan.New(t.Context(), plan.Input{
					Release: "web", Namespace: "bench", Upgrade: upgrade, Base: 1, Chart: chart.Metadata{Name: "web", Version: "1.2.3"}, Rendered: manifest.Manifest(test.manifest),
				})
				require.NoError(t, err)
				var got []string
				for _, f := range p.Check(Rollouts()) {
					assert.Equal(t, "rollouts", f.Rule)
					got = append(got, f.Path)
				}
				if upgrade {
					assert.Equal(t, test.want, got)
				} else {
					assert.Empty(t, got, "of an install")
				}
			}
		})
	}
}
