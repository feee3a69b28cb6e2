package helmexec

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// A chart is rendered once for its images and accelerators, hooks and tests included.
func TestChart2Images(t *testing.T) {
	h, fake := withRenderer(t, Config{}, inspected)
	for _, test := range []struct {
		name string
		opts ImageOptions
		want []string
	}{
		{"as they are", ImageOptions{}, []string{"curlimages/curl:8.1.0", "nginx:1.27", "quay.io/example/log:v2"}},
		{"without tests", ImageOptions{SkipTests: true}, []string{"nginx:1.27", "quay.io/example/log:v2"}},
		{"all", ImageOptions{Exclude: []string{}, SkipTests: true}, []string{"busybox", "nginx:1.27", "quay.io/example/log:v2"}},
		{"in full", ImageOptions{FullNames: true, SkipTests: true}, []string{"docker.io/library/nginx:1.27", "quay.io/example/log:v2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			images, err := h.Chart2Images(t.Context(), inspectedChart, TemplateOptions{}, test.opts)
			require.NoError(t, err)
			assert.Equal(t, test.want, images)
		})
	}
	report, err := h.Chart2GPUs(t.Context(), inspectedChart, TemplateOptions{}, GPUOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 6}, report.Totals)
	assert.Equal(t, []string{"pull", "template"}, fake.Commands(), "the render is remembered")
}

// A document that cannot be read does not lose the images and accelerators of the others.
func TestChart2ImagesOfABadDocument(t *testing.T) {
	h, _ := withRenderer(t, Config{}, "---\nkind: [\n"+inspected)
	images, err := h.Chart2Images(t.Context(), inspectedChart, TemplateOptions{}, ImageOptions{})
	require.ErrorIs(t, err, ErrBadManifest)
	assert.Equal(t, []string{"curlimages/curl:8.1.0", "nginx:1.27", "quay.io/example/log:v2"}, images)
	report, err := h.Chart2GPUs(t.Context(), inspectedChart, TemplateOptions{}, GPUOptions{})
	require.ErrorIs(t, err, ErrBadManifest)
	assert.Equal(t, map[string]int64{"nvidia.com/gpu": 6}, report.Totals)
}

func TestChart2ImagesOfAChartThatDoesNotRender(t *testing.T) {
	h, fake := withRenderer(t, Config{}, inspected)
	fake.On("template", helmtest.Reply{Stderr: "Error: execution error at (demo/templates/a.yaml:1:4): no size\n", Exit: 1})
	images, err := h.Chart2Images(t.Context(), inspectedChart, TemplateOptions{}, ImageOptions{})
	require.ErrorIs(t, err, ErrRenderFailed)
	assert.Nil(t, images)
}

// A caller cannot change for others what lists of images leave out.
func TestDefaultExcludeIsACopy(t *testing.T) {
	DefaultExclude()[0] = "nginx:1.27"
	assert.Equal(t, []string{"busybox"}, DefaultExclude())
	images, err := Manifest(inspected).Images(ImageOptions{})
	require.NoError(t, err)
	assert.NotContains(t, images, "busybox")
	assert.Contains(t, images, "nginx:1.27")
}

// The values of a chart go into ExportImages, and come out, as Values.
func TestExportImagesOfAChart(t *testing.T) {
	h, _ := withRenderer(t, Config{}, inspected)
	m, err := h.Template(t.Context(), inspectedChart, TemplateOptions{})
	require.NoError(t, err)
	export, err := ExportImages(m, Values{"log": map[string]any{"image": "quay.io/example/log:v2"}, "size": 1},
		RegistryMap{"*": "mirror.lab/x"}.Rewrite, ImageOptions{})
	require.NoError(t, err)
	var over Values = export.Values
	assert.Equal(t, Values{"log": map[string]any{"image": "mirror.lab/x/example/log:v2"}}, over)
	assert.Contains(t, export.Missed, "docker.io/library/nginx:1.27")
}
