package frame

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/sut-bench/helmexec"
)

// Values reach a chart as they are given, and no file but the given ones is opened.
func TestValues(t *testing.T) { tryAll(t, values) }

// What a template can ask for ends in limits, or finds nothing.
func TestRenders(t *testing.T) { tryAll(t, renders) }

var values = []attempt{
	arrive("a key that is a flag", helmexec.Values{"--set": "a=b", "-f": "x"}),
	arrive("a key with a path", helmexec.Values{"a.b[0]": map[string]any{"c=d,e": "f"}}),
	arrive("a text that is a template", helmexec.Values{"a": `{{ include "x" . }}{{ .Files.Get "/etc/passwd" }}`}),
	arrive("a text that is a shell's", helmexec.Values{"a": "$(evil); `evil` | evil && ${HOME}"}),
	arrive("a text that is another document", helmexec.Values{"a": "x\n---\nb: c\n...\n# Source: web/templates/x.yaml\n"}),
	arrive("an escape sequence", helmexec.Values{"a": "\x1b[2J\u202e\u200b"}),
	arrive("a text that looks like another type", helmexec.Values{"a": "010", "b": "yes", "c": "null", "d": "1e3", "e": "<<", "f": "!!binary x", "g": "*a"}),
	arrive("large numbers", helmexec.Values{"a": float64(1 << 53), "b": -0.5}),
	arrive("a long text", helmexec.Values{"a": strings.Repeat("x", 300<<10)}),
	arrive("many keys", manyKeys(5000)),
	file("a URL", "http://127.0.0.1/values.yaml", errAny),
	file("another URL", "https://charts.example/values.yaml", errAny),
	file("a scheme of a plugin", "evil://host/values.yaml", errAny),
	file("the standard input", "-", errAny),
	file("a flag", "--post-renderer=x", errAny),
	file("two files", "values.yaml,values.yaml", errAny),
	file("a folder", ".", errAny),
	file("a device", "/dev/zero", errAny),
	file("nothing", "none.yaml", errAny),
	file("an environment", "/proc/self/environ", errAny),
	{"a pipe", errAny, func(b *bed) error {
		pipe := filepath.Join(b.TempDir(), "values.yaml")
		b.Must(syscall.Mkfifo(pipe, 0o600))
		return b.rendered(helmexec.TemplateOptions{ValuesFiles: []string{pipe}})
	}},
	text("values that expand", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", errAny),
	text("nesting", strings.Repeat("{a: ", 100000)+strings.Repeat("}", 100000), errAny),
	text("zeros", strings.Repeat("\x00", 1<<20), errAny),
	text("a list", "- a\n", errAny),
	text("two documents on a line", "--- a: b\n--- c: d\n", errAny),
	text("a tag of a language", "a: !!python/object/apply:os.system [evil]\n", errOrUs),
}

var renders = []attempt{
	render("endless loops", `{{ range until 1000000 }}{{ range until 10000 }}{{ end }}{{ end }}`, helmexec.ErrRenderTimeout),
	render("endless memory", `{{ range until 1000000000 }}{{ end }}`, helmexec.ErrRenderTooLarge),
	render("endless output", `a: {{ repeat 100000000 "x" }}`, helmexec.ErrRenderTooLarge),
	render("calls of itself", `{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`, errHelm),
	render("a file outside", `a: {{ printf "%s%s" (.Files.Get "../../../../../../etc/passwd") (.Files.Get "/etc/passwd") | quote }}`, nil),
	render("all files", `a: {{ printf "%s%s" (.Files.Glob "/**").AsConfig (.Files.Glob "../**").AsConfig | quote }}`, nil),
	render("the environment", `a: {{ env "HOME" }}`, errHelm),
	render("the environment, expanded", `a: {{ expandenv "$HOME" }}`, errHelm),
	render("the network", `a: {{ getHostByName "localhost" | quote }}`, nil),
	render("the cluster", `a: {{ lookup "v1" "Secret" "kube-system" "" | toJson }}`, nil),
	render("a failure with an escape sequence", `{{ fail "\x1b[2J\x1b]0;x\x07\u202e" }}`, errHelm),
	render("a failure of megabytes", `{{ fail (repeat 5000000 "x") }}`, errHelm),
	render("a failure that looks like another", `{{ fail "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress" }}`, helmexec.ErrRenderFailed),
	render("a failure that looks like the network's", `{{ fail "dial tcp: connection refused" }}`, helmexec.ErrRenderFailed),
	render("a failure that looks like a missing chart", `{{ fail "Error: repo x not found" }}`, helmexec.ErrRenderFailed),
	render("a certificate", `a: {{ (genCA "x" 1).Cert | b64enc | trunc 10 }}`, nil),
	render("an expression that backtracks", `a: {{ regexMatch "(a+)+$" (repeat 5000 "a") }}`, nil),
	render("a dependency that is a file", "", errAny, "Chart.yaml", chartYAML+"dependencies: [{name: evil, version: 1.0.0, repository: \"file:///etc\"}]\n"),
	render("a dependency that is elsewhere", "", errAny, "Chart.yaml", chartYAML+"dependencies: [{name: evil, version: 1.0.0, repository: \"https://charts.example\"}]\n"),
	render("a Kubernetes version that it wants", "", errAny, "Chart.yaml", chartYAML+"kubeVersion: \"\\x1b[2J\"\n"),
	render("a maintainer that is null", "", errHelm, "Chart.yaml", chartYAML+"maintainers: [null]\n"),
	render("a file of ignored names", "a: b", errOrUs, ".helmignore", strings.Repeat("**/", 10000)+"x\n"),
}

// arrive is the attempt to give a chart values.
func arrive(name string, given helmexec.Values) attempt {
	return attempt{name, nil, func(b *bed) error { return b.rendered(helmexec.TemplateOptions{Values: given}) }}
}

func file(name, path string, want error) attempt {
	return attempt{name + " as a file", want, func(b *bed) error { return b.rendered(helmexec.TemplateOptions{ValuesFiles: []string{path}}) }}
}

func text(name, content string, want error) attempt {
	expected := want
	if want == errOrUs {
		expected = nil
	}
	return attempt{name + " in a file", expected, func(b *bed) error {
		path := filepath.Join(b.TempDir(), "values.yaml")
		b.Must(os.WriteFile(path, []byte(content), 0o600))
		err := b.rendered(helmexec.TemplateOptions{ValuesFiles: []string{path}})
		if want == errOrUs {
			b.Logf("%v", err)
			return nil
		}
		return err
	}}
}

func manyKeys(n int) helmexec.Values {
	all := helmexec.Values{}
	for i := range n {
		all[fmt.Sprintf("key-%d", i)] = float64(i)
	}
	return all
}

// rendered renders a chart that prints its values, which must be those that were given.
func (b *bed) rendered(opts helmexec.TemplateOptions) error {
	dir := b.folder(map[string]string{
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {values: {{ toJson .Values | quote }}}\n",
	})
	m, err := b.h.Template(b.ctx, dir, opts)
	if err != nil {
		return err
	}
	objects, err := m.Objects()
	if err != nil || len(objects) != 1 {
		return fmt.Errorf("%d objects, %w", len(objects), err)
	}
	data, _ := objects[0]["data"].(map[string]any)
	var got, want map[string]any
	b.Must(json.Unmarshal([]byte(fmt.Sprint(data["values"])), &got))
	given, err := json.Marshal(opts.Values)
	b.Must(err)
	b.Must(json.Unmarshal(given, &want))
	if len(opts.ValuesFiles) == 0 && !reflect.DeepEqual(got, want) {
		b.Errorf("the chart got %.300v", got)
	}
	return nil
}

// render is the attempt to render a template, in a chart with more files.
func render(name, template string, want error, more ...string) attempt {
	expected := want
	if want == errOrUs {
		expected = nil
	}
	return attempt{name, expected, func(b *bed) error {
		files := map[string]string{"templates/a.yaml": template + "\n"}
		for i := 0; i < len(more); i += 2 {
			files[more[i]] = more[i+1]
		}
		h := b.NewHelm(func(cfg *helmexec.Config) {
			cfg.Limits.RenderMemory, cfg.Limits.RenderTime = 300<<20, soon
		})
		m, err := h.Template(b.ctx, b.folder(files), helmexec.TemplateOptions{})
		if strings.Contains(string(m), "root:") || strings.Contains(string(m), "127.0.0.1") || strings.Contains(string(m), secret) {
			b.Errorf("the manifest has what it must not have: %.300s", m)
		}
		if want == errOrUs {
			b.Logf("%v", err)
			return nil
		}
		return err
	}}
}
