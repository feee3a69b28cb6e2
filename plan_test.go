package helmexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/plan"
)

// plannedChart writes a chart with an object, a hook, a CRD and notes.
func plannedChart(t *testing.T) string {
	t.Helper()
	dir := chartFolder(t, "web", "1.2.3")
	for name, text := range map[string]string{
		"values.yaml": "image: docker.io/acme/web:1\n",
		"templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec: {containers: [{name: c, image: {{ .Values.image }}}]}\n" +
			"---\napiVersion: v1\nkind: Pod\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\nspec: {containers: [{name: c, image: acme/hook:2}]}\n",
		"templates/NOTES.txt": "revision {{ .Release.Revision }}",
		"crds/foo.yaml":       "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: foos.acme.io}\n",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return dir
}

func imagesOf(p *Plan) []string {
	var images []string
	for _, use := range p.Images.Images {
		images = append(images, use.Image)
	}
	return images
}

func TestPlanAndApply(t *testing.T) {
	h, fake := withFake(t, Config{})
	p, err := h.Plan(t.Context(), "web", plannedChart(t), PlanOptions{Values: Values{"image": "acme/web:7", "big": int64(12345678901234567)}})
	require.NoError(t, err)
	assert.Equal(t, []string{"template", "template", "dry-run install"}, fake.Commands(), "the second finds the CRDs")
	assert.Equal(t, []string{"acme/web:7", "acme/hook:2"}, imagesOf(p))
	require.Len(t, p.Objects, 1)
	require.Len(t, p.Hooks, 1)
	require.Len(t, p.CRDs, 1)
	assert.Equal(t, "foos.acme.io", p.CRDs[0].Object.Name)
	assert.Equal(t, "revision 1", p.Notes)
	assert.NotEmpty(t, p.Cluster)
	assert.Empty(t, p.KubeVersion, "the chart does not ask for it")
	assert.Equal(t, "default", p.Namespace, "that of the kubeconfig, so that it is the same wherever the plan is applied")

	rel, err := h.Apply(t.Context(), p, ApplyOptions{Digest: p.Digest(), OperationID: "1"})
	require.NoError(t, err)
	assert.Equal(t, "web", rel.ChartName)
	assert.Equal(t, "1.2.3", rel.ChartVersion)
	assert.Equal(t, []string{"template", "template", "dry-run install", "install"}, fake.Commands())
	recorded, _ := fake.Release("", "web")
	assert.Contains(t, recorded.Manifest, "image: acme/web:7")
	assert.Contains(t, recorded.Values, "acme/web:7")
	assert.Contains(t, recorded.Values, "12345678901234567")
	require.Len(t, recorded.Hooks, 1)
	left, err := dirNames(h.home.Path("tmp"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A plan says which key signed its chart.
func TestPlanOfASignedChart(t *testing.T) {
	h, fake := withFake(t, Config{})
	const key = "0123456789ABCDEF0123456789ABCDEF01234567"
	archive, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n"})
	require.NoError(t, err)
	dir := t.TempDir()
	path, keyring := filepath.Join(dir, "web-1.2.3.tgz"), filepath.Join(dir, "keys.gpg")
	for file, text := range map[string][]byte{path: archive.Data, path + ".prov": []byte("x"), keyring: []byte("x")} {
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	fake.On("verify", helmtest.Reply{Stdout: fmt.Sprintf("Signed by: Ann\nUsing Key With Fingerprint: %s\nChart Hash Verified: sha256:%s\n", key, archive.Digest)})
	plain, err := h.Plan(t.Context(), "web", path, PlanOptions{})
	require.NoError(t, err)
	assert.Empty(t, plain.SigningKey)
	signed, err := h.Plan(t.Context(), "web", path, PlanOptions{Source: SourceOptions{Keyring: keyring}})
	require.NoError(t, err)
	assert.Equal(t, key, signed.SigningKey)
	assert.NotEqual(t, plain.Digest(), signed.Digest())
}

func TestPlanOfAnUpgrade(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 4})
	chart := plannedChart(t)
	p, err := h.Plan(t.Context(), "web", chart, PlanOptions{Upgrade: true, Values: Values{"image": "acme/web:8"}})
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"template", "dry-run upgrade"}, fake.Commands())
	assert.Equal(t, 4, p.Base)
	assert.Equal(t, "revision 5", p.Notes)
	assert.Empty(t, p.CRDs, "helm installs none at an upgrade")

	rel, err := h.Apply(t.Context(), p, ApplyOptions{OperationID: "1"})
	require.NoError(t, err)
	assert.Equal(t, 5, rel.Revision)
	recorded, _ := fake.Release("", "web")
	assert.Contains(t, recorded.Manifest, "image: acme/web:8")

	again, err := h.Apply(t.Context(), p, ApplyOptions{OperationID: "1"})
	require.NoError(t, err)
	assert.True(t, again.Recovered)
	_, err = h.Apply(t.Context(), p, ApplyOptions{OperationID: "2"})
	require.ErrorIs(t, err, ErrPlanStale)
	assert.ErrorContains(t, err, "revision 4")

	_, err = h.Plan(t.Context(), "none", chart, PlanOptions{Upgrade: true})
	require.ErrorIs(t, err, ErrReleaseNotFound)
}

// Helm compares an upgrade with the last deployed revision, and leaves what a failed one made since.
func TestPlanOverAFailedRevision(t *testing.T) {
	chart := plannedChart(t)
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 1})
	p, err := h.Plan(t.Context(), "web", chart, PlanOptions{Upgrade: true})
	require.NoError(t, err)
	planned := string(p.Manifest())
	other := strings.ReplaceAll(planned, "acme/web", "evil/web")
	more := planned + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: evil}\nspec: {containers: [{name: c, image: evil}]}\n"
	for _, test := range []struct {
		name, before, manifest string
		says                   string // "" if the plan is applied
	}{
		{"it made the same", "deployed", planned, ""},
		{"it made less", "deployed", "", ""},
		{"it made another object", "deployed", more, "Pod default/evil"},
		{"it made one otherwise", "deployed", other, "what it made of"},
		{"it cannot be read", "deployed", "a: [", "cannot be compared"},
		{"it is too large to be read", "deployed", more + "# " + strings.Repeat("a", 1<<20), "cannot be compared"},
		{"none was deployed before", "failed", more, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			h.maxStdout = 1 << 20
			fake.SetRelease(helmtest.Release{Name: "web", Revision: 1, Status: test.before})
			fake.SetRelease(helmtest.Release{Name: "web", Revision: 2, Status: "failed", Manifest: test.manifest})
			p, err := h.Plan(t.Context(), "web", chart, PlanOptions{Upgrade: true})
			require.NoError(t, err)
			require.Equal(t, 2, p.Base)
			inTurn(fake, "history", func(helmtest.Call) helmtest.Reply { return unreachable })
			_, err = h.Apply(t.Context(), p, ApplyOptions{})
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrPlanStale)
			assert.ErrorContains(t, err, "revision 2 failed")
			assert.ErrorContains(t, err, test.says)
			assert.Empty(t, fake.Calls("upgrade"))
		})
	}
}

// Somebody else upgrades the release while the first try is lost.
func TestPlanOfAnUpgradeThatIsOvertaken(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 1})
	p, err := h.Plan(t.Context(), "web", plannedChart(t), PlanOptions{Upgrade: true})
	require.NoError(t, err)
	inTurn(fake, "upgrade", func(helmtest.Call) helmtest.Reply {
		fake.SetRelease(helmtest.Release{Name: "web", Revision: 2})
		return reset
	})
	_, err = h.Apply(t.Context(), p, ApplyOptions{OperationID: "1"})
	require.ErrorIs(t, err, ErrPlanStale)
	assert.ErrorContains(t, err, "planned over revision 1, and has revision 2")
	assert.Len(t, fake.Calls("upgrade"), 1)
}

// A runner that starts again applies the plan that it saved. With another one it is not the same operation.
func TestApplyOnceForOneOperation(t *testing.T) {
	h, fake := withFake(t, Config{})
	chart := plannedChart(t)
	p, err := h.Plan(t.Context(), "web", chart, PlanOptions{})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "plan")
	require.NoError(t, p.Save(file))
	fake.Handle("install", installed(fake, "deployed", reset))
	rel, err := h.Apply(t.Context(), p, ApplyOptions{OperationID: "7"})
	require.NoError(t, err)
	assert.True(t, rel.Recovered)

	saved, err := plan.Load(t.Context(), file)
	require.NoError(t, err)
	rel, err = h.Apply(t.Context(), saved, ApplyOptions{OperationID: "7", Digest: p.Digest()})
	require.NoError(t, err)
	assert.True(t, rel.Recovered)

	other, err := h.Plan(t.Context(), "web", chart, PlanOptions{Values: Values{"image": "acme/other:1"}})
	require.NoError(t, err)
	_, err = h.Apply(t.Context(), other, ApplyOptions{OperationID: "7", Digest: p.Digest()})
	require.ErrorIs(t, err, ErrPlanStale)
	_, err = h.Apply(t.Context(), other, ApplyOptions{OperationID: "7"})
	require.ErrorIs(t, err, ErrReleaseExists)
}

// The plan says what may be left when the cluster goes away: its chart renders only with one.
func TestApplyListsWhatIsLeft(t *testing.T) {
	h, fake := withFake(t, Config{Retry: Retry{Tries: 1}})
	p, err := h.Plan(t.Context(), "web", plannedChart(t), PlanOptions{})
	require.NoError(t, err)
	away := helmtest.Reply{Stderr: "Error: Kubernetes cluster unreachable: Get \"https://gone/version\": connection refused\n", Exit: 1}
	fake.Handle("install", installed(fake, "pending-install", reset))
	for _, command := range []string{"get all", "status", "uninstall", "template"} {
		fake.Handle(command, func(helmtest.Call) helmtest.Reply { return away })
	}
	_, err = h.Apply(t.Context(), p, ApplyOptions{})
	require.ErrorIs(t, err, ErrLeftBehind)
	var failed *ReleaseError
	require.ErrorAs(t, err, &failed)
	var left []string
	for _, r := range failed.Remains {
		left = append(left, r.Kind+"/"+r.Name)
	}
	assert.Contains(t, left, "Pod/web")
	assert.Contains(t, left, "Secret/sh.helm.release.v1.web.v1")
}

// asking is a chart that asks the cluster for its version and APIs.
const asking = `{{ if .Capabilities.APIVersions.Has "batch/v1" }}{{ if .Capabilities.APIVersions.Has "acme.io/v1/Web" }}{{ end }}{{ end }}` +
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n"

// A plan is for the cluster that it was made for, as far as the chart asks.
func TestApplyOnAnotherCluster(t *testing.T) {
	h, fake := withFake(t, Config{Namespace: "team"})
	chart := chartFolder(t, "web", "1.2.3")
	require.NoError(t, os.MkdirAll(filepath.Join(chart, "templates"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(chart, "templates", "a.yaml"), []byte(asking), 0o600))
	here, err := h.Plan(t.Context(), "web", chart, PlanOptions{})
	require.NoError(t, err)
	assert.Equal(t, "v1.34.0", here.KubeVersion)
	assert.Equal(t, map[string]bool{"batch/v1": true, "acme.io/v1/Web": false}, here.APIs)
	for says, change := range map[string]func(*Plan){
		"":                func(*Plan) {},
		"another cluster": func(p *Plan) { p.Cluster = "12345" },
		"it is for v1.30.1, the cluster has v1.34.0":         func(p *Plan) { p.KubeVersion = "v1.30.1" },
		"acme.io/v1/Web, which the cluster no longer serves": func(p *Plan) { p.APIs = map[string]bool{"acme.io/v1/Web": true} },
		"batch/v1, which the cluster serves now":             func(p *Plan) { p.APIs = map[string]bool{"batch/v1": false} },
	} {
		p := *here
		change(&p)
		_, err := h.Apply(t.Context(), &p, ApplyOptions{OperationID: "1"})
		if says == "" {
			require.NoError(t, err)
			_, err = h.Uninstall(t.Context(), "web", UninstallOptions{})
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrPlanStale)
		assert.ErrorContains(t, err, says)
	}
	for _, call := range fake.Calls("template") {
		assert.Empty(t, call.Flag("--set"), "the cluster says who it is")
	}
	nothing := func(m Manifest) (Manifest, error) { return m, nil }
	_, err = h.Install(t.Context(), "web", chart, InstallOptions{Transform: nothing})
	require.NoError(t, err)
	_, err = h.Upgrade(t.Context(), "web", chart, UpgradeOptions{Transform: nothing})
	require.NoError(t, err, "it is planned and applied at once, so nothing is compared")
}

// Without a cluster helm gets none: neither that of the Config nor one from the environment.
func TestPlanWithoutACluster(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, nil, 0o600))
	h, fake := withFake(t, Config{Kubeconfig: kubeconfig, KubeContext: "lab"})
	for _, cluster := range []Cluster{{KubeVersion: "v1.33.4"}, {KubeVersion: "v1.33.4", APIVersions: []string{"v1", "batch/v1"}}} {
		p, err := h.Plan(t.Context(), "web", plannedChart(t), PlanOptions{Cluster: &cluster})
		require.NoError(t, err)
		assert.Empty(t, p.Cluster)
		assert.Equal(t, "default", p.Namespace)
		for _, call := range fake.Calls("template", "dry-run") {
			assert.NotEqual(t, kubeconfig, call.Flag("--kubeconfig"))
			assert.Empty(t, call.Flag("--kube-context"))
		}
	}
}

// Who may not read the namespace kube-system plans all the same, and is not asked again.
func TestClusterThatDoesNotSayWhoItIs(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		if c.Flag("--set") == "" {
			return helmtest.Reply{Exit: 1, Stderr: `Error: template: capabilities/templates/capabilities.yaml:2:34: executing "capabilities/templates/capabilities.yaml" at <lookup "v1" "Namespace" "" "kube-system">: ` +
				`error calling lookup: namespaces "kube-system" is forbidden: User "runner" cannot get resource "namespaces" in API group "" in the namespace "kube-system"` + "\n"}
		}
		return fake.Perform(c)
	})
	for range 2 {
		_, err := h.Cluster(t.Context(), ClusterOptions{})
		require.NoError(t, err)
	}
	assert.Len(t, fake.Calls("template"), 3)
}

// A question to the cluster that fails once is put again, also where helm renders at the same time.
func TestPlanAsksTheClusterAgain(t *testing.T) {
	h, fake := withFake(t, Config{Namespace: "team", MaxProcesses: 1})
	chart := chartFolder(t, "web", "1.2.3")
	fake.On("template", reset)
	p, err := h.Plan(t.Context(), "web", chart, PlanOptions{})
	require.NoError(t, err)
	assert.NotEmpty(t, p.Cluster)
	fake.On("template", reset, reset, reset, reset)
	_, err = h.Plan(t.Context(), "web", chart, PlanOptions{})
	require.Error(t, err)
	assert.True(t, IsTransient(err))
}

// What the cluster was the last time is a guess: a plan is for what it is now.
func TestPlanAfterTheClusterHasChanged(t *testing.T) {
	h, fake := withFake(t, Config{Namespace: "team"})
	chart := plannedChart(t)
	require.NoError(t, os.RemoveAll(filepath.Join(chart, "crds")))
	plan := func() (renders int) {
		before := len(fake.Calls("dry-run install"))
		p, err := h.Plan(t.Context(), "web", chart, PlanOptions{})
		require.NoError(t, err)
		assert.NotEmpty(t, p.Images)
		return len(fake.Calls("dry-run install")) - before
	}
	assert.Equal(t, 1, plan(), "the first time helm waits for the answer")
	assert.Equal(t, 1, plan(), "the cluster is what it was")
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		reply.Stdout = strings.ReplaceAll(reply.Stdout, "batch/v1", "batch/v2")
		return reply
	})
	assert.Equal(t, 2, plan(), "it has changed")
	assert.Equal(t, 1, plan(), "and is as it was again")
}

func TestPlanRefusesTheCallersMistakes(t *testing.T) {
	h := withoutHelm(t)
	for _, opts := range []PlanOptions{{ReuseValues: true}, {Upgrade: true, ReuseValues: true, ResetThenReuseValues: true}, {Kubeconfig: "\x00"},
		{Cluster: &Cluster{}}, {Cluster: &Cluster{KubeVersion: "v1.34.0", APIVersions: []string{"a b"}}},
		{Cluster: &Cluster{KubeVersion: "v1.34.0"}, Upgrade: true}, {Cluster: &Cluster{KubeVersion: "v1.34.0"}, Lookups: true},
	} {
		_, err := h.Plan(t.Context(), "web", "chart", opts)
		assert.ErrorIs(t, err, ErrInvalidArgument, "%+v", opts)
	}
	_, err := h.Apply(t.Context(), nil, ApplyOptions{})
	assert.ErrorIs(t, err, ErrInvalidArgument)
}

// What a Transform gets is everything that runs: objects and hooks in one call, CRDs in another. It changes what is
// installed, on Helm 3 and 4.
func TestInstallTransformed(t *testing.T) {
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		t.Run(version, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetVersion(version)
			var seen []string
			transform := func(m Manifest) (Manifest, error) {
				places, err := m.Index()
				var names []string
				for _, place := range places {
					names = append(names, place.Object.Name)
				}
				seen = append(seen, strings.Join(names, " "))
				return bytes.ReplaceAll(m, []byte("acme/"), []byte("mirror/")), err
			}
			_, err := h.Install(t.Context(), "web", plannedChart(t), InstallOptions{Transform: transform})
			require.NoError(t, err)
			commands := []string{"template", "template", "dry-run install", "install", "get all"}
			if version == "v4.3.1" {
				commands = commands[:4] // the record need not be read
			}
			assert.Equal(t, commands, fake.Commands())
			assert.Equal(t, []string{"web hook", "foos.acme.io"}, seen)
			recorded, _ := fake.Release("", "web")
			assert.Contains(t, recorded.Manifest, "mirror/web:1")
			assert.Contains(t, recorded.Hooks[0].Manifest, "mirror/hook:2")

			_, err = h.Upgrade(t.Context(), "web", plannedChart(t), UpgradeOptions{Transform: transform, Values: Values{"image": "acme/web:3"}})
			require.NoError(t, err)
			recorded, _ = fake.Release("", "web")
			assert.Equal(t, 2, recorded.Revision)
			assert.Contains(t, recorded.Manifest, "mirror/web:3")
		})
	}
}

func TestDryRunOfAnUpgradeThatInstalls(t *testing.T) {
	h, fake := withFake(t, Config{})
	seen := 0
	transform := func(m Manifest) (Manifest, error) { seen++; return m, nil }
	_, err := h.Upgrade(t.Context(), "web", plannedChart(t), UpgradeOptions{Install: true, DryRun: true, Transform: transform})
	require.NoError(t, err)
	assert.Equal(t, 2, seen, "the CRDs too")
	assert.Empty(t, fake.Calls("install", "upgrade"))
	_, err = h.Upgrade(t.Context(), "web", plannedChart(t), UpgradeOptions{DryRun: true, Transform: transform})
	require.ErrorIs(t, err, ErrReleaseNotFound)
}

// A killed runner left a pending revision. Helm renders nothing over it before it is rolled back.
func TestUpgradeTransformedOverAPendingRevision(t *testing.T) {
	h, fake := withFake(t, Config{})
	home, err := h.homeID()
	require.NoError(t, err)
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 1})
	fake.SetRelease(helmtest.Release{Name: "web", Revision: 2, Status: "pending-upgrade", Labels: map[string]string{
		labelUpgrade: "7", labelBase: "1", labelHome: home, labelLock: "abcd.lock", labelUntil: "1",
	}})
	_, err = h.Upgrade(t.Context(), "web", plannedChart(t), UpgradeOptions{
		OperationID: "7", Transform: func(m Manifest) (Manifest, error) {
			return bytes.ReplaceAll(m, []byte("acme/"), []byte("mirror/")), nil
		},
	})
	require.NoError(t, err)
	recorded, _ := fake.Release("", "web")
	assert.Contains(t, recorded.Manifest, "mirror/web:1")
}

func TestTransformThatFails(t *testing.T) {
	cause := errors.New("no mirror of it")
	for name, transform := range map[string]Transform{
		"an error": func(Manifest) (Manifest, error) { return nil, cause },
		"an end of time of its own": func(Manifest) (Manifest, error) {
			return nil, errors.Join(cause, context.DeadlineExceeded)
		},
		"a panic":        func(m Manifest) (Manifest, error) { panic(cause) },
		"a bad manifest": func(m Manifest) (Manifest, error) { return Manifest("a: no mirror of it: ["), nil },
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: "old"})
			for _, err := range []error{
				second(h.Install(t.Context(), "web", plannedChart(t), InstallOptions{Transform: transform})),
				second(h.Install(t.Context(), "web", plannedChart(t), InstallOptions{Transform: transform, DryRun: true})),
				second(h.Upgrade(t.Context(), "old", plannedChart(t), UpgradeOptions{Transform: transform})),
			} {
				require.Error(t, err)
				assert.NotErrorIs(t, err, ErrLeftBehind)
				assert.False(t, IsTransient(err))
			}
			assert.Empty(t, fake.Calls("install"))
			old, _ := fake.Release("", "old")
			assert.Equal(t, 1, old.Revision)
		})
	}
}

func second[T any](_ T, err error) error { return err }

// An install ends with its context although its transform still runs.
func TestInstallDoesNotWaitForATransform(t *testing.T) {
	h, fake := withFake(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	goOn := make(chan struct{})
	defer close(goOn)
	answers(t, func() {
		_, err := h.Install(ctx, "web", plannedChart(t), InstallOptions{Transform: func(m Manifest) (Manifest, error) {
			cancel()
			<-goOn
			return m, nil
		}})
		assert.ErrorIs(t, err, context.Canceled)
		assert.NotErrorIs(t, err, errTransform)
	})
	assert.Empty(t, fake.Calls("install"))
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
