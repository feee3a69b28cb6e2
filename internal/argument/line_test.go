package argument

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/errdef"
)

func TestLine(t *testing.T) {
	for _, words := range [][]string{
		{"version", "--short"},
		{"get", "all", "--template={{.}}\n", "--", "web"},
		{"install", "--description=--set a=b", "--", "-web", "--", "/chart"},
		{"env"},
	} {
		assert.NoError(t, Line(words), "%q", words)
	}
	for _, words := range [][]string{
		{"--debug", "version"}, {"--", "version"}, {"install", "-nfoo"}, {"install", "-n", "foo"}, {"install", "--set", "a=b"},
		{"install", "--wait", "web"}, {"install", "web"}, {"get", "all", "web"}, {"install", "--", ""}, {"install", ""}, {"install", "--description=a\x00b"}, {"install", "--", "a\x00"},
		{"install", "--=x"}, {"install", "--Set=x"}, {"install", "--a b"}, {"install", "web;id"}, {"../install"}, {"install", "--set a"}, {"--namespace=x"},
	} {
		assert.ErrorIs(t, Line(words), errdef.ErrInvalidArgument, "%q", words)
	}
}

func TestExtra(t *testing.T) {
	assert.NoError(t, Extra([]string{"--force=true", "--history-max=3", "--take-ownership=true", "--qps=50", "--enable-dns=true", "--color=", "--render-subchart-notes=true"}))
	for _, word := range []string{
		// Not a flag with its value in one word.
		"", "-", "--", "---", "web", "./chart", "--force", "--set", "--history-max", "3", "-f", "-fx", "-n", "-nfoo", "-nfoo=x", "-o=json", "-iw", "-",
		"--=x", "-=x", "force=true", " --force=true", "--force =true", "--force true", "--for\nce=true", "--Force=true", "--history_max=3", "--force=tr\x00ue", "\u2013\u2013force=true",
		// Where helm goes.
		"--namespace=kube-system", "--namespace=", "--kubeconfig=/evil", "--kube-context=x", "--kube-apiserver=http://evil", "--kube-token=x", "--kube-as-user=admin",
		"--kube-as-group=system:masters", "--kube-ca-file=x", "--kube-insecure-skip-tls-verify=true", "--kube-tls-server-name=x", "--kube-version=v1.0.0",
		// What it runs, prints and fetches.
		"--post-renderer=/bin/sh", "--post-renderer-args=x", "--output=json", "--output-dir=/", "--debug=true", "--help=true", "--repo=http://evil", "--version=1",
		"--dependency-update=true", "--devel=true", "--verify=true", "--keyring=/x", "--registry-config=/x", "--repository-config=/x", "--repository-cache=/x", "--content-cache=/x",
		"--username=x", "--password=x", "--ca-file=x", "--cert-file=x", "--key-file=x", "--plain-http=true", "--insecure-skip-tls-verify=true", "--pass-credentials=true",
		// What has an option.
		"--wait=false", "--wait-for-jobs=true", "--timeout=0", "--values=http://evil", "--set=a=b", "--set-file=a=/etc/passwd", "--set-string=a=b", "--set-json=a=1", "--set-literal=a=b",
		"--create-namespace=true", "--no-hooks=true", "--skip-crds=true", "--skip-tests=true", "--skip-schema-validation=true", "--description=x", "--labels=helmexec/job=7",
		"--dry-run=none", "--dry-run=client", "--install=true", "--replace=true", "--generate-name=true", "--name-template=x", "--release-name=true", "--atomic=true", "--rollback-on-failure=true",
		"--reuse-values=true", "--reset-values=true", "--reset-then-reuse-values=true", "--keep-history=true", "--cascade=orphan", "--ignore-not-found=true", "--revision=1",
		"--api-versions=v1", "--include-crds=true", "--is-upgrade=true", "--validate=true", "--filter=name=x", "--strict=true",
		// What hides from a plan what it applies.
		"--hide-secret=true",
	} {
		assert.ErrorIs(t, Extra([]string{"--qps=1", word}), errdef.ErrInvalidArgument, "%q", word)
	}
}

// Whatever flag this library sets in the commands that take ExtraArgs, those refuse.
func TestExtraRefusesAllOurs(t *testing.T) {
	files, err := filepath.Glob("../../testdata/argv/*.txt")
	require.NoError(t, err)
	checked := map[string]bool{}
	flag := regexp.MustCompile(` --([a-z][-a-z0-9]*)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "helm" || !slices.Contains([]string{"install", "upgrade", "uninstall", "rollback", "template", "test", "lint"}, words[1]) {
				continue
			}
			line, _, _ = strings.Cut(line, " -- ")
			for _, match := range flag.FindAllStringSubmatch(line, -1) {
				checked[match[1]] = true
				assert.ErrorIs(t, Extra([]string{"--" + match[1] + "=x"}), errdef.ErrInvalidArgument, match[1])
			}
		}
	}
	assert.Greater(t, len(checked), 20)
}
