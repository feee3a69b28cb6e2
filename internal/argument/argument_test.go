package argument

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec/internal/errdef"
)

func TestLabels(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, test := range []struct{ key, value, says string }{
		{"a", "", ""},
		{"example.com/Job_1.x", "7-a", ""},
		{long, long, ""},
		{long + "a", "b", "label key"},
		{"a", long + "b", "value"},
		{"a b", "c", `label key "a b"`},
		{"A_/b", "c", `label key "A_/b"`},
		{"/b", "c", `label key "/b"`},
		{"a/b/c", "d", `label key "a/b/c"`},
		{"", "c", `label key ""`},
		{"a", "-", `value "-" of label a`},
		{"a", "é", "value"},
		{"a", "b,c=d", "value"},
		{"a=b,c", "d", "label key"},
	} {
		err := Labels(map[string]string{test.key: test.value})
		if test.says == "" {
			assert.NoError(t, err, "%q", test)
			continue
		}
		assert.ErrorIs(t, err, errdef.ErrInvalidArgument, "%q", test)
		assert.ErrorContains(t, err, test.says)
	}
}

func TestIsDigest(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	assert.True(t, IsDigest("sha256:"+hash))
	for _, text := range []string{"", hash, "sha256:", "sha256:" + hash[1:], "sha256:" + hash + "0", "sha256:" + hash[1:] + "A", "sha256:0" + "-" + hash[2:], "sha512:" + hash, "sha256:" + hash[1:] + "\n"} {
		assert.False(t, IsDigest(text), "%q", text)
	}
}

// Every kind of text has one check. What tries to be something else is refused by all but the free text.
func TestKinds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	assert.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, kind := range []struct {
		name           string
		check          func(string) error
		accepts, never []string
	}{
		{"release", Release, []string{"web", "a", "a.b", "job-1-sut-x"}, []string{"", "Web", "a..b", "-a", strings.Repeat("a", 54), "a/b", "a,b"}},
		{"namespace", Namespace, []string{"", "a", "team-a", strings.Repeat("a", 63)}, []string{"Team", "a.b", "-a", "a-", "a/b", "a\n", strings.Repeat("a", 64)}},
		{"kube context", KubeContext, []string{"", "kind-kind", "arn:aws:eks:x:1:cluster/a", "user@host b"}, []string{"a\nb", "a\x1b[2J"}},
		{"kubeconfig", Kubeconfig, []string{"", file, file + string(os.PathListSeparator) + "other"}, []string{file + "-none", "a:b\x00c"}},
		{"Kubernetes version", KubeVersion, []string{"", "v1.34.0", "1.30"}, []string{"new", "1.2.3 --set=a", "v1.34.0\n"}},
		{"API", func(s string) error { return APIs([]string{s}) }, []string{"v1", "apps/v1/Deployment"}, []string{"", "-v1", "v1,v2", "v1 v2"}},
		{"version of a chart", func(s string) error { return Constraint("chart", s) }, []string{"", "1.2.3", "^1", ">=1.0 <2"}, []string{"latest", "1.2.3\x00", "../1", "--devel"}},
		{"exact version", func(s string) error { return Version("Version", s) }, []string{"", "1.2.3", "1.0.0+b"}, []string{"1", "v1.2.3", "^1.0.0", "1.2.3/.."}},
		{"repository", Repo, []string{"mine", "a.b_c-1"}, []string{"", "-a", "a/b", "..", "a:b"}},
		{"host of a registry", func(s string) error { return RegistryHost(s, s) }, []string{"localhost", "127.0.0.1:5000", "[::1]:5000"}, []string{"", "-h", "oci://h", "h/p", "u@h", "h:port"}},
		{"registry", func(s string) error { return Registry(s, s) }, []string{"oci://h", "oci://h:1/a/b", "oci://h/a/"}, []string{"", "h/a", "http://h/a", "oci://u@h/a", "oci://h/a?b", "oci://h/../a", "oci://h//a", "oci://h/-a"}},
		{"hook", Hook, []string{"smoke", "a.b-c"}, []string{"", "a,!name=b", "A", "-a", "a=b"}},
		{"chart", form(IsChartName), []string{"web", "A.b_c-1"}, []string{"", "..", ".a", "-a", "a/b", "a:b", "a-"}},
		{"digest", form(IsDigest), []string{"sha256:" + strings.Repeat("0a", 32)}, []string{"", "sha256:", "sha512:" + strings.Repeat("0a", 32), "sha256:" + strings.Repeat("0A", 32)}},
		{"text", func(s string) error { return Text("Description", s) }, []string{"", "for a=b, c", "--set", "百度\n"}, []string{"a\x00b"}},
		{"id", func(s string) error { return ID("JobID", s) }, []string{"", "42/1", " a"}, []string{" ", "\t\n"}},
		{"path", func(s string) error { return AbsolutePath("CAFile", &s) }, []string{"", "/ca", "ca"}, []string{"ca\x00"}},
	} {
		for _, text := range kind.accepts {
			assert.NoError(t, kind.check(text), "%s %q", kind.name, text)
		}
		for _, text := range kind.never {
			assert.ErrorIs(t, kind.check(text), errdef.ErrInvalidArgument, "%s %q", kind.name, text)
		}
		if kind.name == "text" || kind.name == "id" || kind.name == "path" || kind.name == "kube context" {
			continue // behind a "=" in one word, or made absolute
		}
		for _, text := range []string{"--post-renderer=/bin/sh", "-nkube-system", "--", "-", "a b", "a\nb", "a\x00b", "a\x1b[31m", "$(id)", "a;id", "`id`", "a|b"} {
			assert.ErrorIs(t, kind.check(text), errdef.ErrInvalidArgument, "%s %q", kind.name, text)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, time.Hour} {
		assert.NoError(t, Duration("Timeout", d))
	}
	for d, says := range map[time.Duration]string{
		-time.Second: "Timeout is -1s: it cannot be negative", 10: "Timeout is 10ns: the least is 1ms; a number without a unit counts nanoseconds", time.Millisecond - 1: "unit",
	} {
		err := Duration("Timeout", d)
		assert.ErrorIs(t, err, errdef.ErrInvalidArgument)
		assert.ErrorContains(t, err, says)
	}
	assert.NoError(t, Count("Max", 0))
	assert.ErrorIs(t, Count("Max", -1), errdef.ErrInvalidArgument)
}

func form(is func(string) bool) func(string) error {
	return func(text string) error {
		if !is(text) {
			return errdef.Invalidf("%q", text)
		}
		return nil
	}
}

// A path can begin with a dash; helm never gets it like that.
func TestAbsolutePath(t *testing.T) {
	path := "--post-renderer=x"
	assert.NoError(t, AbsolutePath("CAFile", &path))
	assert.True(t, filepath.IsAbs(path), path)
}
