package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/policy"
)

func TestValidate(t *testing.T) {
	for _, right := range []policy.TenantOptions{
		{},
		{Registries: []string{}},
		{Registries: []string{"docker.io", "docker.io/library", "ghcr.io/acme/", "registry:5000", "localhost", "10.0.0.1:5000/suts", "[::1]:5000", "Registry"}},
		{Kinds: []string{"Pod", "Event", "batch/Job", "policy/PodDisruptionBudget", "argoproj.io/Workflow", "monitoring.coreos.com/ServiceMonitor", "example.com/lower"}},
		{References: []string{"Secret/registry-login", "argoproj.io/WorkflowTemplate/shared", "apps/Deployment/web"}},
		{Limits: policy.Limits{CPU: "500m", Memory: "1.5Gi", Storage: "1e12", GPUs: map[string]int64{"nvidia.com/gpu": 0}, Pods: 1}},
	} {
		assert.NoError(t, right.Validate(), "%+v", right)
	}
	for want, wrong := range map[string]policy.TenantOptions{
		`registry "": want host[:port]`:  {Registries: []string{"docker.io", ""}},
		`registry " ": want host[:port]`: {Registries: []string{" "}},
		`registry "https://docker.io": the name of an image has no scheme: write docker.io`: {Registries: []string{"https://docker.io"}},
		`write registry.example/suts`:                                   {Registries: []string{"oci://registry.example/suts/"}},
		`registry "docker.io/library/nginx:1": want host[:port]`:        {Registries: []string{"docker.io/library/nginx:1"}},
		`write docker.io/library`:                                       {Registries: []string{"index.docker.io/library"}},
		`write docker.io/acme`:                                          {Registries: []string{"acme"}},
		`there is no API group "argo"`:                                  {Kinds: []string{"argo/Workflow"}},
		`there is no API group "v1"`:                                    {Kinds: []string{"v1/Pod"}},
		`kind "foo": kinds without a group begin with a capital letter`: {Kinds: []string{"foo"}},
		`without a version, such as argoproj.io/Workflow`:               {Kinds: []string{"argoproj.io/v1alpha1/Workflow"}},
		`kind "": want Kind`:                                            {Kinds: []string{""}},
		`kind "/Pod": want Kind`:                                        {Kinds: []string{"/Pod"}},
		`kind "apiextensions.k8s.io/CustomResourceDefinition" is one of the whole cluster`: {Kinds: []string{"apiextensions.k8s.io/CustomResourceDefinition"}},
		`kind "Namespace" is one of the whole cluster`:                                     {Kinds: []string{"Namespace"}},
		`reference "registry-login": want Kind/name`:                                       {References: []string{"registry-login"}},
		`reference "Secret/": want Kind/name`:                                              {References: []string{"Secret/"}},
		`reference "a.b/C/d/e": want Kind/name`:                                            {References: []string{"a.b/C/d/e"}},
		`limit of cpu: "4x" is not a quantity of Kubernetes, such as 64`:                   {Limits: policy.Limits{CPU: "4x"}},
		`limit of memory: "8GB" is not a quantity`:                                         {Limits: policy.Limits{Memory: "8GB"}},
		`limit of storage: "-1Gi" is not a quantity`:                                       {Limits: policy.Limits{Storage: "-1Gi"}},
		`limit of pods: -1 is less than 0`:                                                 {Limits: policy.Limits{Pods: -1}},
		`limit of nodes: -2 is less than 0`:                                                {Limits: policy.Limits{Nodes: -2}},
		`limit of GPUs: nvidia.com/gpu: -1 is less than 0`:                                 {Limits: policy.Limits{GPUs: map[string]int64{"nvidia.com/gpu": -1}}},
	} {
		err := wrong.Validate()
		require.ErrorIs(t, err, helmexec.ErrInvalidArgument, want)
		assert.ErrorContains(t, err, want)
	}
}
