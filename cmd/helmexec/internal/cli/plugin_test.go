package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
)

// asPlugin has helm start the command.
func asPlugin(b *bench) { b.plugin = &Plugin{Binary: b.fake.Binary, Namespace: "of-helm"} }

// withToken has helm start it with a log-in of its own.
func withToken(b *bench) {
	asPlugin(b)
	b.plugin.Login = []string{"HELM_KUBEASUSER", "HELM_KUBETOKEN"}
}

// The help of the plugin speaks of the plugin.
func TestPluginHelp(t *testing.T) {
	root := (&app{out: &out.Printer{}, plugin: &Plugin{}}).root()
	for _, cmd := range commandsOf(root) {
		assert.Regexp(t, `^helm sut `, cmd.UseLine())
		assert.Regexp(t, `(?m)^ *helm sut `, cmd.Example)
		assert.NotContains(t, cmd.Long+cmd.Example, "helmexec")
	}
}

// The namespace is that of helm, below that of a flag. A job file counts more than helm, which always names a namespace.
func TestPluginNamespace(t *testing.T) {
	b := newBench(t)
	asPlugin(b)
	b.run("list")
	b.run("list", "-nflag")
	jobs, _ := b.jobOf("job: j\nnamespace: file\nsuts: [{name: a, chart: CHARTS/plain}]\n")
	got := b.run("job", "run", jobs)
	assert.Contains(t, got.stderr, "helm sut: the namespace is file, which DIR/jobs.yaml names, and not of-helm\n")
	b.run("job", "run", jobs, "--results="+b.dir+"/other.json", "-nflag")
	var namespaces []string
	for _, c := range b.fake.Calls() {
		if c.Command() == "list" && len(namespaces) < 2 || c.Command() == "install" {
			namespaces = append(namespaces, c.Flag("--namespace"))
		}
	}
	assert.Equal(t, []string{"of-helm", "flag", "file", "flag"}, namespaces)
}

// A command that would go to another cluster than helm is refused; one that asks no cluster is not.
func TestPluginLogin(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
	}{
		{[]string{"list"}, 2}, {[]string{"job", "clean", "1"}, 2}, {[]string{"plan", "web", plain}, 2}, {[]string{"images", plain, "--from-cluster"}, 2},
		{[]string{"images", plain}, 0}, {[]string{"plan", "web", plain, "--offline"}, 0}, {[]string{"version"}, 0}, {[]string{"name", "x"}, 0}, {[]string{"list", "--help"}, 0},
	} {
		b := newBench(t)
		withToken(b)
		got := b.run(test.args...)
		if test.code == 2 {
			assert.Empty(t, b.fake.Commands(), "%q", test.args)
		}
		require.Equal(t, test.code, got.code, "%q: %s", test.args, got.stderr)
	}
}
