//go:build unix

package helmexec

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/helmtest"
)

// rendering is one run of helm as the post-renderer sees it: pipes and a folder for the manifest.
type rendering struct {
	t           *testing.T
	script, dir string
	hear, ready *os.File // from the script
	word, say   *os.File // to the script
}

func newRendering(t *testing.T) *rendering {
	t.Helper()
	plugins, err := withoutHelm(t).transformer(t.Context())
	require.NoError(t, err)
	r := &rendering{t: t, script: filepath.Join(plugins, transformName, "post-render"), dir: t.TempDir()}
	r.hear, r.ready, err = os.Pipe()
	require.NoError(t, err)
	r.word, r.say, err = os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, f := range []*os.File{r.hear, r.ready, r.word, r.say} {
			f.Close()
		}
	})
	return r
}

// answer does what runTransformed does while helm runs. The function it gives ends it, as the end of helm does.
func (r *rendering) answer(t Transform) (end func() error) {
	failed := make(chan error, 1)
	go func() {
		defer r.say.Close()
		failed <- answerTransforms(r.t.Context(), r.dir, r.hear, r.say, t, maxStdout)
	}()
	return func() error {
		r.hear.Close()
		return <-failed
	}
}

// render runs the script on a manifest.
func (r *rendering) render(manifest string) (out string, err error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), tooLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", r.script)
	cmd.Stdin = strings.NewReader(manifest)
	cmd.ExtraFiles = []*os.File{r.ready, r.word}
	cmd.Env = append(os.Environ(), "HELMEXEC_TRANSFORM="+r.dir, "HELMEXEC_READY=3", "HELMEXEC_WORD=4")
	stdout, err := cmd.Output()
	require.NoError(r.t, ctx.Err(), "the script hangs")
	return string(stdout), err
}

// exits is the exit code of a script that failed by itself.
func exits(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	return exit.ExitCode()
}

func TestPostRender(t *testing.T) {
	r := newRendering(t)
	end := r.answer(func(m Manifest) (Manifest, error) { return bytes.ReplaceAll(m, []byte("kind: "), []byte("kind: X")), nil })
	out, err := r.render("kind: a\n---\nkind: b\n")
	require.NoError(t, err)
	assert.Equal(t, "kind: Xa\n---\nkind: Xb\n\n", out)
	require.NoError(t, end())
}

// Helm 4 runs the post-renderer for the hooks, too.
func TestPostRenderSeveralTimes(t *testing.T) {
	r := newRendering(t)
	var seen []string
	end := r.answer(func(m Manifest) (Manifest, error) {
		seen = append(seen, string(m))
		return append(m, "# transformed"...), nil
	})
	// The longer one first: nothing of it may be left in the next.
	for _, manifest := range []string{strings.Repeat("kind: long\n", 100_000), "", "kind: short\n"} {
		out, err := r.render(manifest)
		require.NoError(t, err)
		assert.True(t, out == manifest+"# transformed\n")
	}
	require.NoError(t, end())
	assert.Len(t, seen, 3)
}

func TestPostRenderFails(t *testing.T) {
	r := newRendering(t)
	cause := errors.New("no mirror of it")
	end := r.answer(func(Manifest) (Manifest, error) { return nil, cause })
	for range 2 { // a second run must not wait for an answer either
		out, err := r.render("kind: a\n")
		assert.NotZero(t, exits(t, err))
		assert.Empty(t, out)
	}
	require.ErrorIs(t, end(), cause)
}

func TestPostRenderWithoutTheProcessThatTransforms(t *testing.T) {
	for _, test := range []struct {
		name string
		die  func(r *rendering)
	}{
		{"gone before", func(r *rendering) { r.hear.Close(); r.say.Close() }},
		{"gone while the script waits", func(r *rendering) {
			go func() {
				_, _ = r.hear.Read(make([]byte, len("ready\n")))
				r.hear.Close()
				r.say.Close()
			}()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRendering(t)
			test.die(r)
			out, err := r.render("kind: a\n")
			assert.NotZero(t, exits(t, err))
			assert.Empty(t, out)
		})
	}
}

func TestPostRenderSurvivesAPanic(t *testing.T) {
	r := newRendering(t)
	end := r.answer(func(m Manifest) (Manifest, error) { return m[:cap(m)+1], nil })
	_, err := r.render("kind: a\n")
	assert.NotZero(t, exits(t, err))
	require.ErrorContains(t, end(), "panic: runtime error: slice bounds out of range")
}

func TestPostRenderOverTheCap(t *testing.T) {
	r := newRendering(t)
	end := r.answer(func(m Manifest) (Manifest, error) {
		t.Error("the transform got it")
		return m, nil
	})
	_, err := r.render(strings.Repeat("#", maxStdout+1))
	assert.NotZero(t, exits(t, err))
	require.ErrorIs(t, end(), ErrRenderTooLarge)
}

// A file that the script cannot write is not a matter of size.
func TestPostRenderWithoutAFile(t *testing.T) {
	err := answerTransforms(t.Context(), t.TempDir(), strings.NewReader("ready\n"), &bytes.Buffer{}, nil, maxStdout)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.NotErrorIs(t, err, ErrRenderTooLarge)
}

func TestTransformer(t *testing.T) {
	h := withoutHelm(t)
	plugins, err := h.transformer(t.Context())
	require.NoError(t, err)
	script, err := os.Stat(filepath.Join(plugins, transformName, "post-render"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), script.Mode())

	text, err := os.ReadFile(filepath.Join(plugins, transformName, "plugin.yaml"))
	require.NoError(t, err)
	var plugin struct {
		Type, Name, Runtime string
		RuntimeConfig       struct{ PlatformCommand []struct{ Command string } }
	}
	require.NoError(t, yaml.Unmarshal(text, &plugin))
	assert.Equal(t, "postrenderer/v1", plugin.Type)
	assert.Equal(t, transformName, plugin.Name)
	assert.Equal(t, "subprocess", plugin.Runtime)
	require.Len(t, plugin.RuntimeConfig.PlatformCommand, 1)
	assert.Equal(t, "$HELM_PLUGIN_DIR/post-render", plugin.RuntimeConfig.PlatformCommand[0].Command)
}

func TestTransformsRunInTheirOrder(t *testing.T) {
	add := func(text string) Transform {
		return func(m Manifest) (Manifest, error) { return append(m, text...), nil }
	}
	m, err := Transforms(add("a"), add("b"))(nil)
	require.NoError(t, err)
	assert.Equal(t, "ab", string(m))

	cause := errors.New("no")
	m, err = Transforms(add("a"), func(Manifest) (Manifest, error) { return nil, cause }, func(Manifest) (Manifest, error) {
		t.Error("runs after a failure")
		return nil, nil
	})(nil)
	require.ErrorIs(t, err, cause)
	assert.Nil(t, m)
}

// An install ends with its context although its transform still runs.
func TestInstallDoesNotWaitForATransform(t *testing.T) {
	fake := helmtest.New(t)
	// A helm that runs its post-renderer, the plugin.
	helm := filepath.Join(t.TempDir(), "helm")
	require.NoError(t, os.WriteFile(helm, []byte(`#!/bin/sh
[ "$1" = install ] || exec `+fake.Binary+` "$@"
echo 'kind: A' | "$HELM_PLUGINS/`+transformName+`/post-render" || { echo 'Error: INSTALLATION FAILED: error while running post render' >&2; exit 1; }
`), 0o700))
	h := drive(t, fake, Config{})
	h.binary = helm
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	goOn := make(chan struct{})
	defer close(goOn)
	answers(t, func() {
		_, err := h.runTransformed(ctx, invocation{args: args{"install"}}, func(m Manifest) (Manifest, error) {
			cancel()
			<-goOn
			return m, nil
		}, "web", "chart")
		assert.ErrorIs(t, err, context.Canceled)
		assert.NotErrorIs(t, err, errTransform)
	})
}
