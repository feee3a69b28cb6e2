package helmexec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
)

// errTransform marks the errors of a transform, as opposed to those of a context.
var errTransform = errors.New("transform")

// transformName is the name of the post-renderer plugin for Helm 4.
const transformName = "helmexec-transform"

// transformScript is what helm runs as its post-renderer: it puts the manifest into a file, signals
// this process through one inherited pipe and waits for the answer on another. If this process
// dies, the wait ends, and so does helm. The text is the same for every call.
const transformScript = `#!/bin/sh
set -e
cat >"$HELMEXEC_TRANSFORM/manifest"
echo ready >&"$HELMEXEC_READY"
read -r word <&"$HELMEXEC_WORD"
exec cat "$HELMEXEC_TRANSFORM/$word"
`

// transformPlugin wraps the script as a plugin for Helm 4, in JSON, which is also YAML.
const transformPlugin = `{"apiVersion":"v1","type":"postrenderer/v1","name":"` + transformName + `","version":"1.0.0","runtime":"subprocess",` +
	`"runtimeConfig":{"platformCommand":[{"command":"$HELM_PLUGIN_DIR/post-render"}]}}`

// transformer makes the post-renderer's files and returns the folder for HELM_PLUGINS. Helm 3 runs the
// script in it, Helm 4 the plugin.
func (h *Helm) transformer(ctx context.Context) (plugins string, err error) {
	return h.home.Files(ctx, "transform", map[string]string{
		transformName + "/plugin.yaml": transformPlugin,
		transformName + "/post-render": transformScript,
	})
}

// runTransformed runs an install or upgrade with t, if it is not nil, as its post-renderer.
func (h *Helm) runTransformed(ctx context.Context, inv invocation, t Transform, positionals ...string) ([]byte, error) {
	positionals = append([]string{"--"}, positionals...)
	if t == nil {
		inv.args = append(inv.args, positionals...)
		return h.run(ctx, inv)
	}
	if runtime.GOOS == "windows" {
		return nil, errdef.Invalidf("a Transform needs a Unix system: on Windows a child inherits no pipes")
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	plugins, err := h.transformer(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := h.home.MkdirTemp("manifest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hear, ready, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	word, say, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hear.Close())
	}
	defer word.Close()

	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer say.Close() // ends the wait of the script
		failed = answerTransforms(ctx, dir, hear, say, t, h.cfg.Limits.RenderOutput)
	}()
	renderer := transformName
	if !d.PostRendererIsPlugin {
		renderer = filepath.Join(plugins, transformName, "post-render")
	}
	fd := 3 + len(inv.inherit) // where the inherited files begin in a child
	inv.inherit = append(slices.Clone(inv.inherit), ready, word)
	inv.args = append(append(inv.args, "--post-renderer="+renderer), positionals...)
	inv.env = append(inv.env, "HELM_PLUGINS="+plugins, "HELMEXEC_TRANSFORM="+dir,
		"HELMEXEC_READY="+strconv.Itoa(fd), "HELMEXEC_WORD="+strconv.Itoa(fd+1))
	out, err := h.run(ctx, inv)
	hear.Close()
	<-done
	switch {
	case failed == nil || err == nil:
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w; %w", errTransform, failed, err)
	default:
		err = fmt.Errorf("%w: %w", errTransform, failed) // helm can only say that its post-renderer failed
	}
	return out, err
}

// answerTransforms transforms the file of the script on each signal, until hear is closed, the
// context ends or the transform fails.
func answerTransforms(ctx context.Context, dir string, hear io.Reader, say io.Writer, t Transform, limit int64) error {
	line := make([]byte, len("ready\n"))
	for {
		if _, err := io.ReadFull(hear, line); err != nil {
			return nil
		}
		file := filepath.Join(dir, "manifest")
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if info.Size() > limit {
			return fmt.Errorf("%w: the manifest has more than %d MiB (Limits.RenderOutput)", ErrRenderTooLarge, limit>>20)
		}
		m, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		changed, err := caught(ctx, t, m)
		if errors.Is(err, errAbandoned) {
			return nil // the end of the context stops helm
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "changed"), append(slices.Clip(changed), '\n'), 0o600); err != nil {
			return err
		}
		if _, err := io.WriteString(say, "changed\n"); err != nil {
			return err
		}
	}
}

// errAbandoned says that a context ended while a transform was running.
var errAbandoned = errors.New("the context ended before the transform did")

// caught applies a transform, which a chart of a stranger may drive into a panic, or into more work
// than the context has time for.
func caught(ctx context.Context, t Transform, m Manifest) (Manifest, error) {
	type outcome struct {
		changed Manifest
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil { // nothing else recovers on this goroutine
				o = outcome{err: fmt.Errorf("panic: %v", p)}
			}
			done <- o
		}()
		if o.changed, o.err = t(m); o.err != nil {
			o.changed = nil
		} else if _, err := o.changed.Objects(); err != nil {
			o = outcome{err: fmt.Errorf("the manifest that it returned: %w", err)}
		}
	}()
	select {
	case o := <-done:
		return o.changed, o.err
	case <-ctx.Done():
		return nil, errAbandoned
	}
}

// refuseHooks refuses a chart whose hooks Helm 3 would run untransformed: it does not pass them
// through a post-renderer. Tests do not count, since an install does not run them.
func (h *Helm) refuseHooks(ctx context.Context, opts InstallOptions, a args, stdin []byte, release string, ch *Chart) error {
	if opts.Transform == nil || opts.NoHooks || opts.UntouchedHooks {
		return nil
	}
	d, err := h.dialect(ctx)
	if err != nil || d.PostRendererIsPlugin {
		return err
	}
	a = append(slices.Clone(a), "--dry-run=server", "--output=json", "--", release, ch.Path)
	out, err := h.run(ctx, invocation{args: a, stdin: stdin, limits: h.rendering()})
	if errors.Is(err, ErrReleaseExists) {
		return nil // the install itself finds the owner
	}
	if err != nil {
		return err
	}
	var rendered struct {
		Hooks []struct {
			Name, Kind string
			Events     []string
		}
	}
	if err := json.Unmarshal(out, &rendered); err != nil {
		return badOutput(a[0], err)
	}
	var hooks []string
	for _, hk := range rendered.Hooks {
		if !slices.ContainsFunc(hk.Events, func(e string) bool { return e != "test" && e != "test-success" }) {
			continue
		}
		hooks = append(hooks, fmt.Sprintf("%s %s (%s)", hk.Kind, hk.Name, strings.Join(hk.Events, ", ")))
	}
	if len(hooks) > 0 {
		return redact.Legible(fmt.Errorf("%w: chart %s has %s: use Helm 4, or NoHooks, or accept them with UntouchedHooks",
			ErrHooksNotTransformed, ch.Metadata.Name, strings.Join(hooks, "; ")))
	}
	return nil
}
