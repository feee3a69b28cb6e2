package plan

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/manifest"
)

// Of what a plan makes and runs, the chart expects that it does not exist; but not of what a revision before made, and of what Helm
// deletes first or does not make now.
func TestWhatMustNotExist(t *testing.T) {
	const (
		config     = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
		template   = "---\napiVersion: v1\nkind: PodTemplate\nmetadata: {name: a, annotations: {helm.sh/hook: "
		notDeleted = ", helm.sh/hook-delete-policy: hook-failed}}\n"
	)
	before := func(text string) ChartOptions { return ChartOptions{Before: manifest.Manifest(text)} }
	for _, test := range []struct {
		name, rendered string
		upgrade        bool
		opts           ChartOptions
		want           string // what is looked up, "" for nothing
	}{
		{
			"a CRD, and others that run nothing", config + "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n" +
				"---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n", false, ChartOptions{}, "",
		},
		{"webhooks", "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: a}\n", false, ChartOptions{}, `lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "bench" "a"`},
		{"a custom resource", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n", false, ChartOptions{}, `{{ else }}{{ fail "helmexec: the plan is stale: the cluster does not serve example.com/v1/Thing" }}`},
		{"a list of Kubernetes that is none", "apiVersion: apps/v1\nkind: DeploymentList\nmetadata: {name: a}\n", false, ChartOptions{}, `the cluster does not serve apps/v1/DeploymentList`},
		{"an object that a try before may have made", pod, false, ChartOptions{MayExist: true}, ""},
		{"an object, beside data", pod + config, false, ChartOptions{}, `lookup "v1" "Pod" "bench" "web"`},
		{"an item of a list", "apiVersion: v1\nkind: List\nitems: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b}}]\n", false, ChartOptions{}, `lookup "apps/v1" "Deployment" "b" "a"`},
		{"a name that the API server makes", strings.Replace(pod, "name", "generateName", 1), false, ChartOptions{}, ""},
		{
			"of the revision before, in another version", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", true,
			before("apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a, namespace: bench}\n"), "",
		},
		{"new in an upgrade", pod, true, before(config), `lookup "v1" "Pod" "bench" "web"`},
		{"a hook of the revision before", pod, true, before(strings.Replace(pod, "{name: web", "{annotations: {helm.sh/hook: test}, name: web", 1)), `lookup "v1" "Pod" "bench" "web"`},
		{"a hook that Helm deletes first", template + "pre-install}}\n", false, ChartOptions{}, ""},
		{"a hook that it does not delete", template + "Post-Install" + notDeleted, false, ChartOptions{}, `lookup "v1" "PodTemplate" "bench" "a"`},
		{"the same without hooks", template + "post-install" + notDeleted, false, ChartOptions{NoHooks: true}, ""},
		{"a hook of another event", template + "post-install" + notDeleted, true, ChartOptions{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := input(test.rendered)
			in.Upgrade = test.upgrade
			p, err := New(t.Context(), in)
			require.NoError(t, err)
			made, err := p.made(t.Context(), test.opts)
			require.NoError(t, err)
			text := string(p.refuseExisting(made))
			if test.want == "" {
				assert.Empty(t, text)
				return
			}
			assert.Equal(t, 1, strings.Count(text, "lookup"))
			assert.Contains(t, text, test.want)
		})
	}
	in := input("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n")
	in.CRDs = manifest.Manifest("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\nspec: {group: example.com, names: {kind: Thing}}\n")
	p, err := New(t.Context(), in)
	require.NoError(t, err)
	assert.NotContains(t, string(p.refuseExisting([]int{0})), "else", "its kind is served once its CRD is made")
	require.ErrorIs(t, planOf(t, pod).WriteChart(t.Context(), io.Discard, before("- a\n")), ErrBadManifest)
}
