package helmexec

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

const inspected = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: elsewhere}
data: {sidecar: "image: quay.io/example/sidecar:v1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - {name: web, image: "nginx:1.27", resources: {limits: {nvidia.com/gpu: 3}}}
        - {name: log, image: "quay.io/example/log:v2"}
        - {name: shell, image: busybox}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: web}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
spec: {template: {spec: {containers: [{name: migrate, image: "nginx:1.27"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: check, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: check, image: "curlimages/curl:8.1.0"}]}
`

const inspectedChart = "oci://registry.example/charts/demo:1.0.0"

// withRenderer is a fake helm that has the versions 1.0.0 and 2.0.0 of a chart, which render to a manifest.
func withRenderer(t *testing.T, cfg Config, manifest string) (*Helm, *helmtest.Fake) {
	t.Helper()
	h, fake := withFake(t, cfg)
	for _, version := range []string{"1.0.0", "2.0.0"} {
		archive, err := chartrepo.Package(map[string]string{
			"Chart.yaml":  "apiVersion: v2\nname: demo\nversion: " + version + "\n",
			"values.yaml": "size: 1\n",
		})
		require.NoError(t, err)
		fake.AddArchive("demo-"+version+".tgz", archive.Data)
	}
	fake.Handle("template", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Stdout: manifest} })
	return h, fake
}

func TestInspect(t *testing.T) {
	h, fake := withRenderer(t, Config{Namespace: "team"}, inspected)
	got, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
	require.NoError(t, err)

	assert.Equal(t, "demo", got.Info.Name)
	assert.Equal(t, "1.0.0", got.Info.Version)
	assert.Equal(t, Values{"size": int64(1)}, got.Info.Values)
	assert.Equal(t, inspected, string(got.Manifest))

	assert.Equal(t, []string{"curlimages/curl:8.1.0", "nginx:1.27", "quay.io/example/log:v2"}, got.Images)
	assert.Len(t, got.Report.Images, 5, "busybox too")
	require.Len(t, got.Report.Hints, 1)
	assert.Equal(t, "quay.io/example/sidecar:v1", got.Report.Hints[0].Image)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 6}, got.GPUs.Totals)

	job := ObjectRef{Group: "batch", Version: "v1", Kind: "Job", Namespace: "team", Name: "migrate"}
	pod := ObjectRef{Version: "v1", Kind: "Pod", Namespace: "team", Name: "check"}
	assert.Equal(t, []ObjectRef{job, pod}, got.Hooks)
	assert.Equal(t, map[string][]ObjectRef{
		"ConfigMap":                             {{Version: "v1", Kind: "ConfigMap", Namespace: "elsewhere", Name: "settings"}},
		"apps/Deployment":                       {{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "team", Name: "web"}},
		"rbac.authorization.k8s.io/ClusterRole": {{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole", Name: "web"}},
		"batch/Job":                             {job},
		"Pod":                                   {pod},
	}, got.Objects)
	assert.Equal(t, []string{"pull", "template"}, fake.Commands())
}

// The images of an inspection are those of Images, whatever the options.
func TestInspectGivesTheImagesOfImages(t *testing.T) {
	h, _ := withRenderer(t, Config{}, inspected)
	for _, opts := range []ImageOptions{
		{}, {Exclude: []string{}}, {Exclude: []string{"nginx:1.27"}}, {FullNames: true}, {SkipTests: true}, {SkipHooks: true, FullNames: true},
		{Rules: []ImageRule{{Kind: "ConfigMap", Path: "data", Is: ImageSure}}},
	} {
		got, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{Images: opts})
		require.NoError(t, err)
		want, err := Manifest(inspected).Images(opts)
		require.NoError(t, err)
		assert.Equal(t, want, got.Images, "%+v", opts)
	}
}

func TestInspectOfNothing(t *testing.T) {
	h, _ := withRenderer(t, Config{}, "\n")
	got, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{}, got.Images)
	assert.Empty(t, got.Objects)
	assert.Empty(t, got.Hooks)
}

func TestInspectReportsABadDocumentOnce(t *testing.T) {
	bad := "---\napiVersion: apps/v1\nkind: Deployment\nspec: {resources: {limits: [}, image: x\n"
	unnamed := "---\n{image: [, limits: 1\n"
	h, _ := withRenderer(t, Config{}, bad+inspected+unnamed)
	got, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
	require.NotNil(t, got)
	assert.Equal(t, []string{"curlimages/curl:8.1.0", "nginx:1.27", "quay.io/example/log:v2"}, got.Images)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 6}, got.GPUs.Totals)
	assert.Len(t, got.Hooks, 2)

	require.ErrorIs(t, err, ErrBadManifest)
	var document *DocumentError
	require.ErrorAs(t, err, &document)
	assert.Equal(t, 1, document.Document)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 2, "one for each bad document")
	assert.Contains(t, lines[0], "manifest document 1 ")
	assert.Contains(t, lines[1], "manifest document 7 ")
}

func TestInspectOfAChartThatDoesNotRender(t *testing.T) {
	h, fake := withRenderer(t, Config{}, inspected)
	fake.On("template", helmtest.Reply{Stderr: "Error: execution error at (demo/templates/a.yaml:1:4): no size\n", Exit: 1})
	got, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
	assert.Nil(t, got)
	require.ErrorContains(t, err, "no size")
	_, err = h.Inspect(t.Context(), inspectedChart, InspectOptions{})
	require.NoError(t, err, "a failure is not remembered")
}

func TestRendersAreRemembered(t *testing.T) {
	keep := func(m Manifest) (Manifest, error) { return m, nil }
	for _, test := range []struct {
		name    string
		address string
		opts    TemplateOptions
		again   int // processes of a second and third call
	}{
		{"the same", inspectedChart, TemplateOptions{}, 0},
		{"the version as an option", "oci://registry.example/charts/demo", TemplateOptions{Version: "1.0.0"}, 0},
		{"another version", "oci://registry.example/charts/demo:2.0.0", TemplateOptions{}, 1},
		{"a value", inspectedChart, TemplateOptions{Values: Values{"size": 2}}, 1},
		{"a release name", inspectedChart, TemplateOptions{ReleaseName: "other"}, 1},
		{"a namespace", inspectedChart, TemplateOptions{Namespace: "other"}, 1},
		{"a Kubernetes version", inspectedChart, TemplateOptions{KubeVersion: "v1.30.0"}, 1},
		{"without tests", inspectedChart, TemplateOptions{SkipTests: true}, 1},
		{"from the cluster", inspectedChart, TemplateOptions{FromCluster: true}, 2},
		{"a transform", inspectedChart, TemplateOptions{Transform: keep}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withRenderer(t, Config{}, inspected)
			_, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
			require.NoError(t, err)
			for range 2 {
				got, err := h.Inspect(t.Context(), test.address, InspectOptions{Render: test.opts})
				require.NoError(t, err)
				assert.Equal(t, inspected, string(got.Manifest))
				clear(got.Manifest) // it is the caller's
			}
			assert.Len(t, fake.Calls("template"), 1+test.again)
		})
	}
}

func TestOneRenderServesAll(t *testing.T) {
	h, fake := withRenderer(t, Config{}, inspected)
	_, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
	require.NoError(t, err)
	images, err := h.Chart2Images(t.Context(), inspectedChart, TemplateOptions{}, ImageOptions{SkipTests: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"nginx:1.27", "quay.io/example/log:v2"}, images)
	gpus, err := h.Chart2GPUs(t.Context(), inspectedChart, TemplateOptions{}, GPUOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 6}, gpus.Totals)
	assert.Len(t, fake.Calls("template"), 1)
}

func TestManyWhoAskAtOnceShareARender(t *testing.T) {
	h, fake := withRenderer(t, Config{}, inspected)
	var all errgroup.Group
	for range 8 {
		all.Go(func() error {
			_, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{})
			return err
		})
	}
	require.NoError(t, all.Wait())
	assert.Len(t, fake.Calls("template"), 1)
}

func TestRendersAreNotRemembered(t *testing.T) {
	for _, test := range []struct {
		name    string
		cfg     Config
		address string
	}{
		{"switched off", Config{RememberRenders: -1}, inspectedChart},
		{"too large", Config{RememberRenders: int64(len(inspected)) - 1, KeepRenders: -1}, inspectedChart},
		{"a folder, which can change", Config{}, chartFolder(t, "demo", "1.0.0")},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withRenderer(t, test.cfg, inspected)
			for range 2 {
				_, err := h.Inspect(t.Context(), test.address, InspectOptions{})
				require.NoError(t, err)
			}
			assert.Len(t, fake.Calls("template"), 2)
		})
	}
}

// The least recently used render is forgotten first.
func TestRememberedRendersAreBounded(t *testing.T) {
	h, fake := withRenderer(t, Config{RememberRenders: int64(2*len(inspected)) + 1, KeepRenders: -1}, inspected)
	processes := func(release string) int {
		before := len(fake.Calls("template"))
		_, err := h.Inspect(t.Context(), inspectedChart, InspectOptions{Render: TemplateOptions{ReleaseName: release}})
		require.NoError(t, err)
		return len(fake.Calls("template")) - before
	}
	var started []int
	for _, release := range []string{"a", "b", "a", "c", "a", "b", "c"} {
		started = append(started, processes(release))
	}
	assert.Equal(t, []int{1, 1, 0, 1, 0, 1, 1}, started)
	assert.LessOrEqual(t, h.renders.size, h.renders.limit)
	assert.Equal(t, len(h.renders.byKey), h.renders.order.Len())
}

func TestOncePerDocument(t *testing.T) {
	first, again, second := &DocumentError{Document: 1, Err: errors.New("a")}, &DocumentError{Document: 1, Err: errors.New("b")}, &DocumentError{Document: 2, Err: errors.New("c")}
	other := errors.New("other")
	assert.NoError(t, oncePerDocument([]error{nil, errors.Join(nil)}))
	got := oncePerDocument([]error{errors.Join(errors.Join(first), second), again, nil, other})
	assert.Equal(t, errors.Join(first, second, other), got)
	assert.Equal(t, 2, bytes.Count([]byte(got.Error()), []byte("manifest document")))
}

// lateContext ends without waking those that wait for it: only its Err shows the end.
type lateContext struct {
	context.Context
	ended atomic.Bool
}

func (c *lateContext) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

// What reads a manifest stops when the context ends after the render.
func TestReadingARenderEndsWithTheContext(t *testing.T) {
	h, _ := withRenderer(t, Config{}, inspected)
	for name, read := range map[string]func(context.Context, TemplateOptions) error{
		"Chart2Images": func(ctx context.Context, opts TemplateOptions) error {
			images, err := h.Chart2Images(ctx, inspectedChart, opts, ImageOptions{})
			assert.Nil(t, images)
			return err
		},
		"Chart2GPUs": func(ctx context.Context, opts TemplateOptions) error {
			report, err := h.Chart2GPUs(ctx, inspectedChart, opts, GPUOptions{})
			assert.Nil(t, report)
			return err
		},
		"Inspect": func(ctx context.Context, opts TemplateOptions) error {
			inspection, err := h.Inspect(ctx, inspectedChart, InspectOptions{Render: opts})
			assert.Nil(t, inspection)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := &lateContext{Context: t.Context()}
			err := read(ctx, TemplateOptions{Transform: func(m Manifest) (Manifest, error) {
				ctx.ended.Store(true)
				return m, nil
			}})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// A render ends with its context, even if its transform takes longer.
func TestTemplateDoesNotWaitForATransform(t *testing.T) {
	h, _ := withRenderer(t, Config{}, inspected)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	goOn := make(chan struct{})
	defer close(goOn)
	answers(t, func() {
		_, err := h.Template(ctx, inspectedChart, TemplateOptions{Transform: func(m Manifest) (Manifest, error) {
			cancel()
			<-goOn
			return m, nil
		}})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestTemplateSurvivesAPanic(t *testing.T) {
	h, _ := withRenderer(t, Config{}, inspected)
	_, err := h.Template(t.Context(), inspectedChart, TemplateOptions{Transform: func(m Manifest) (Manifest, error) { return m[:cap(m)+1], nil }})
	require.ErrorContains(t, err, "panic: runtime error: slice bounds out of range")
	_, err = h.Template(t.Context(), inspectedChart, TemplateOptions{Transform: func(Manifest) (Manifest, error) { return Manifest("- a\n"), nil }})
	require.ErrorIs(t, err, ErrBadManifest)
}
