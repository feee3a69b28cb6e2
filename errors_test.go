package helmexec

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func wantPrintable(t *testing.T, text string) {
	t.Helper()
	assert.True(t, utf8.ValidString(text), "%q", text)
	for _, r := range text {
		assert.True(t, unicode.IsGraphic(r) || r == '\n' || r == '\t', "%q has %U", text, r)
	}
}

// languages is text in several languages.
const languages = "配置、失败 é ñ Ωж عربى עברית हिन्दी ไทย 🚀 ❤️ 1\u00a0000\u3000�"

// odd is text with characters that do not show themselves, as YAML and JSON can spell it, and as it is.
// Package redact tests which ones there are.
func odd() (spelled, plain, shown string) {
	plain = "\x00\b\r\u0085\u2028\u202egnp\u200b\ufeff\U000e0041"
	shown = `\x00\b\r\u0085\u2028\u202egnp\u200b\ufeff\U000e0041`
	for _, r := range plain {
		if r > 0xffff {
			spelled += `\U` + strings.ToUpper(hex8(r))
		} else {
			spelled += `\u` + hex8(r)[4:]
		}
	}
	return spelled, plain, shown
}

func hex8(r rune) string {
	const digits = "0123456789abcdef"
	text := make([]byte, 8)
	for i := range text {
		text[7-i] = digits[r>>(4*i)&15]
	}
	return string(text)
}

// Text from outside gets into errors in many ways, and is always made printable.
func TestErrorsArePrintable(t *testing.T) {
	spelled, plain, shown := odd()
	// Where only JSON is read there are no characters of eight digits.
	inJSON, shownInJSON := spelled[:strings.Index(spelled, `\U`)], shown[:strings.Index(shown, `\U`)]
	oddObject := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"x" + spelled + "\"}\n"
	said := helmtest.Reply{Stderr: "level=WARN msg=" + plain + "\nError: execution error at (web/templates/a.yaml:1:2): " + plain + languages + "\n", Exit: 1}
	script := filepath.Join(t.TempDir(), "helm")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nprintf 'Error: \\377\\033[31m\\n' >&2\nexit 1\n"), 0o700))
	folder := func(t *testing.T) string { return chartFolder(t, "web", "1.2.3") }

	for _, test := range []struct {
		name  string
		err   func(t *testing.T, h *Helm, fake *helmtest.Fake) error
		shows string
	}{
		{"helm says it", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			fake.On("template", said)
			_, err := h.Template(t.Context(), folder(t), TemplateOptions{})
			var e *Error
			require.ErrorAs(t, err, &e)
			wantPrintable(t, e.Stderr)
			assert.Contains(t, e.Stderr, "\nError: ", "lines stay lines")
			assert.ErrorContains(t, err, languages[:20])
			return err
		}, shown[:40]},
		{"an install says it", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			fake.On("install", said)
			_, err := h.Install(t.Context(), "web", folder(t), InstallOptions{})
			return err
		}, shown[:40]},
		{"helm says it in bytes", func(t *testing.T, h *Helm, _ *helmtest.Fake) error {
			h.binary = script
			_, err := h.run(t.Context(), invocation{args: []string{"list"}})
			return err
		}, `\xff\x1b[31m`},
		{"an argument", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			fake.On("get", helmtest.Reply{Exit: 1})
			_, err := h.run(t.Context(), invocation{args: []string{"get", "--", "\x1b\n"}})
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, `\x1b\n`, e.Args[2])
			return err
		}, `get \x1b\n`},
		{"a pod", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			fake.Handle("install", installed(fake, "failed", tooLate))
			fake.Handle("status", func(helmtest.Call) helmtest.Reply {
				return helmtest.Reply{Stdout: strings.NewReplacer("ContainersNotReady", inJSON, "web-1", inJSON).Replace(onePod("False"))}
			})
			_, err := h.Install(t.Context(), "web", folder(t), InstallOptions{Wait: true})
			var failed *ReleaseError
			require.ErrorAs(t, err, &failed)
			require.Len(t, failed.Blockers, 1)
			wantPrintable(t, failed.Blockers.String()+failed.Blockers[0].String())
			return err
		}, "Pod " + shownInJSON + ": " + shownInJSON},
		{"what is left", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
				reply := installed(fake, "failed", noSchema)(c)
				r, _ := fake.Release("", "web")
				r.Manifest = oddObject
				fake.SetRelease(r)
				return reply
			})
			fake.Handle("uninstall", func(helmtest.Call) helmtest.Reply { return helmtest.Reply{Stderr: "Error: forbidden\n", Exit: 1} })
			fake.Handle("template", func(helmtest.Call) helmtest.Reply { return unreachable })
			_, err := h.Install(t.Context(), "web", folder(t), InstallOptions{})
			require.ErrorIs(t, err, ErrLeftBehind)
			var failed *ReleaseError
			require.ErrorAs(t, err, &failed)
			for _, r := range failed.Remains {
				wantPrintable(t, r.String())
			}
			return err
		}, "ConfigMap default/x" + shown},
		{"a document", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			fake.On("template", helmtest.Reply{Stdout: "kind: Pod\nspec: !!int \"" + spelled + "\"\n"})
			m, err := h.Template(t.Context(), folder(t), TemplateOptions{})
			require.NoError(t, err)
			_, err = m.Objects()
			return err
		}, shown},
		{"the name of a file", func(t *testing.T, h *Helm, _ *helmtest.Fake) error {
			dir := folder(t)
			require.NoError(t, os.Symlink("/nowhere", filepath.Join(dir, "\x1b\u202e.txt")))
			_, err := h.Fetch(t.Context(), dir, ChartOptions{})
			require.ErrorIs(t, err, ErrBadChart)
			return err
		}, `\x1b\u202e.txt`},
		{"the name of a file in an archive", func(t *testing.T, h *Helm, _ *helmtest.Fake) error {
			path := filepath.Join(t.TempDir(), "web.tgz")
			var packed bytes.Buffer
			zipped := gzip.NewWriter(&packed)
			w := tar.NewWriter(zipped)
			require.NoError(t, w.WriteHeader(&tar.Header{Name: "web/" + strings.ReplaceAll(plain, "\x00", ""), Typeflag: tar.TypeFifo}))
			require.NoError(t, errors.Join(w.Close(), zipped.Close(), os.WriteFile(path, packed.Bytes(), 0o600)))
			_, err := ArchiveValues(path)
			require.ErrorIs(t, err, ErrBadChart)
			return err
		}, `\u202egnp`},
		{"the content of a file", func(t *testing.T, h *Helm, _ *helmtest.Fake) error {
			dir := folder(t)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "values.yaml"), []byte("a: !!int \""+spelled+"\"\n"), 0o600))
			_, err := ArchiveValues(dir)
			require.ErrorIs(t, err, ErrBadChart)
			return err
		}, shown},
		{"an address", func(t *testing.T, h *Helm, _ *helmtest.Fake) error {
			_, err := h.Chart2Info(t.Context(), "/nowhere/\u202egnp", ChartOptions{})
			require.ErrorIs(t, err, ErrChartNotFound)
			return err
		}, `/nowhere/\u202egnp`},
		{"an index", func(t *testing.T, h *Helm, fake *helmtest.Fake) error {
			dir := h.home.Path("repositories", "odd")
			require.NoError(t, errors.Join(
				os.MkdirAll(filepath.Join(dir, "index"), 0o700),
				os.WriteFile(filepath.Join(dir, "repositories.yaml"), []byte("repositories: [{name: odd, url: \"https://odd.example\"}]\n"), 0o600),
				os.WriteFile(filepath.Join(dir, "index", "odd-index.yaml"), []byte("entries: {web: !!int \""+spelled+"\"}\n"), 0o600)))
			_, err := h.ChartVersions(t.Context(), "odd/web", ChartVersionsOptions{})
			require.Error(t, err)
			return err
		}, shown},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			h, fake := withFake(t, Config{Retry: Retry{Tries: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			err := test.err(t, h, fake)
			require.ErrorContains(t, err, test.shows)
			wantPrintable(t, err.Error())
			wantPrintable(t, log.String())
		})
	}
}

func TestLintMessagesArePrintable(t *testing.T) {
	_, plain, shown := odd()
	h, fake := withFake(t, Config{})
	fake.On("lint", helmtest.Reply{Stdout: "[ERROR] templates/: " + plain + "\n", Exit: 1})
	messages, err := h.Lint(t.Context(), chartFolder(t, "web", "1.2.3"), LintOptions{})
	require.ErrorIs(t, err, ErrLintFailed)
	assert.Equal(t, []LintMessage{{"ERROR", "templates/", shown}}, messages)
}

// The error of a caller who waits for another's render contains no raw bytes of a digest.
func TestWaitForARenderIsPrintable(t *testing.T) {
	h, fake := withFake(t, Config{})
	begun, end := make(chan struct{}), make(chan struct{})
	fake.On("template", helmtest.Reply{Then: func() { close(begun) }, Until: end})
	path := filepath.Join(t.TempDir(), "web-1.2.3.tgz")
	require.NoError(t, os.WriteFile(path, packed(t, chartFolder(t, "web", "1.2.3")), 0o600))
	done := make(chan error, 1)
	go func() {
		_, err := h.Inspect(t.Context(), path, InspectOptions{})
		done <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		assert.Eventually(t, func() bool { return h.home.Waiting() == 1 }, tooLong, time.Millisecond)
	}()
	_, err := h.Inspect(ctx, path, InspectOptions{})
	require.ErrorContains(t, err, "waiting for another caller")
	wantPrintable(t, err.Error())
	close(end)
	require.NoError(t, <-done)
}

func TestReleaseErrorText(t *testing.T) {
	remains := []Remain{{ObjectRef{Version: "v1", Kind: "Secret", Namespace: "team", Name: "s"}, RemainRecord, RemainGoing, "the release record"}}
	for _, test := range []struct {
		want string
		err  ReleaseError
	}{
		{"release web: release already exists (status deployed): helm said so",
			ReleaseError{Release: "web", Kind: ErrReleaseExists, Status: StatusDeployed, Err: errors.New("helm said so")}},
		{"release web in namespace team: release not ready: Pod p: Pending",
			ReleaseError{Release: "web", Namespace: "team", Kind: ErrNotReady, Blockers: Blockers{{ObjectRef: ObjectRef{Kind: "Pod", Name: "p"}, Reason: "Pending"}}}},
		{"release web: release not ready: left behind in the cluster: Secret team/s (the release record; being deleted)",
			ReleaseError{Release: "web", Kind: ErrLeftBehind, also: ErrNotReady, Remains: remains}},
		{"release web: helm said so; what Helm does not remove stays: Secret team/s (the release record; being deleted)", ReleaseError{Release: "web", Remains: remains, Err: errors.New("helm said so")}},
		{"release web: release not ready", ReleaseError{Release: "web", Kind: ErrNotReady, Remains: []Remain{namespaceMade("team")}}},
		{"release web: release not ready: Pod p: Unschedulable: 0/1 nodes are available", ReleaseError{Release: "web", Kind: ErrNotReady, Blockers: Blockers{{
			ObjectRef: ObjectRef{Kind: "Pod", Name: "p"}, Reason: "Unschedulable", Message: "0/1 nodes are available", Event: "FailedScheduling: 0/1 nodes are available",
		}}}},
	} {
		assert.Equal(t, test.want, test.err.Error())
	}
}
