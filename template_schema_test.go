package helmexec

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// Helm never sees a chart whose schema refers to another document, unless its schema is skipped.
func TestSchemasOfOtherDocuments(t *testing.T) {
	chart := chartFolder(t, "web", "1.2.3")
	require.NoError(t, os.WriteFile(filepath.Join(chart, "values.schema.json"), []byte(`{"$ref": "file:///etc/passwd"}`), 0o600))
	for name, call := range map[string]func(ctx context.Context, h *Helm, skip bool) error{
		"template": func(ctx context.Context, h *Helm, skip bool) error {
			_, err := h.Template(ctx, chart, TemplateOptions{SkipSchema: skip})
			return err
		},
		"images": func(ctx context.Context, h *Helm, skip bool) error {
			_, err := h.Chart2Images(ctx, chart, TemplateOptions{SkipSchema: skip}, ImageOptions{})
			return err
		},
		"install": func(ctx context.Context, h *Helm, skip bool) error {
			_, err := h.Install(ctx, "web", chart, InstallOptions{SkipSchema: skip})
			return err
		},
		"dry run": func(ctx context.Context, h *Helm, skip bool) error {
			_, err := h.Install(ctx, "web", chart, InstallOptions{SkipSchema: skip, DryRun: true})
			return err
		},
		"upgrade": func(ctx context.Context, h *Helm, skip bool) error {
			_, err := h.Upgrade(ctx, "web", chart, UpgradeOptions{SkipSchema: skip, Install: true})
			return err
		},
		"lint": func(ctx context.Context, h *Helm, skip bool) error {
			_, err := h.Lint(ctx, chart, LintOptions{SkipSchema: skip})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.On("lint", helmtest.Reply{Stdout: "1 chart(s) linted, 0 chart(s) failed\n"})
			err := call(t.Context(), h, false)
			require.ErrorIs(t, err, ErrBadChart)
			require.ErrorContains(t, err, "file:///etc/passwd")
			assert.Empty(t, fake.Commands())
			require.NoError(t, call(t.Context(), h, true))
			calls := fake.Calls("template", "install", "upgrade", "dry-run", "lint")
			require.NotEmpty(t, calls)
			for _, c := range calls {
				assert.Equal(t, "true", c.Flag("--skip-schema-validation"))
			}
		})
	}
}

// No helm sees a folder with a link that leads out of it, whatever is skipped.
func TestLinksThatLeadOut(t *testing.T) {
	folder := chartFolder(t, "web", "1.2.3")
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(folder, "out")))
	for name, call := range map[string]func(*Helm) error{
		"template": func(h *Helm) error {
			_, err := h.Template(t.Context(), folder, TemplateOptions{SkipSchema: true})
			return err
		},
		"lint": func(h *Helm) error {
			_, err := h.Lint(t.Context(), folder, LintOptions{SkipSchema: true})
			return err
		},
		"package": func(h *Helm) error {
			_, err := h.Package(t.Context(), folder, t.TempDir(), PackageOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			err := call(h)
			require.ErrorIs(t, err, ErrBadChart)
			require.ErrorContains(t, err, "the link out leads out of the folder")
			assert.Empty(t, fake.Commands())
		})
	}
}
