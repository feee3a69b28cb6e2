package plan

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/manifest"
)

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: acme/web:1}]}\n"

func input(rendered string) Input {
	return Input{
		Release: "web", Namespace: "bench", KubeVersion: "v1.34.4", Chart: chart.Metadata{Name: "web", Version: "1.2.3"},
		Values: chart.Values{"n": int64(12345678901234567), "b": map[string]any{}}, Rendered: manifest.Manifest(rendered),
	}
}

func planOf(t *testing.T, rendered string) *Plan {
	t.Helper()
	p, err := New(t.Context(), input(rendered))
	require.NoError(t, err)
	return p
}

func TestPlanReadsAsKubernetes(t *testing.T) {
	for _, test := range []struct{ name, rendered, image string }{
		{"a merge overrides what stands before it", "kind: Pod\nspec: {containers: [{image: good, <<: {image: evil}}]}\n", "evil"},
		{"of two keys the last wins", "kind: Pod\nspec: {containers: [{image: good, image: evil}]}\n", "evil"},
		{"kind from a merge", "kind: ConfigMap\n<<: {kind: Pod}\nspec: {containers: [{image: evil}]}\n", "evil"},
		{"a list of any kind", "apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  spec: {containers: [{image: evil}]}\n", "evil"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := planOf(t, test.rendered)
			require.Len(t, p.Images.Images, 1)
			assert.Equal(t, test.image, p.Images.Images[0].Image)
			assert.NotContains(t, string(p.Manifest()), "good")
		})
	}
}

// takenOver is a Deployment with a selector, and a ReplicaSet with labels.
func takenOver(selector, labels string) string {
	return "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: old, labels: " + labels + "}\nspec: {replicas: 0, template: {metadata: {labels: {app: web}}}}\n" +
		"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: bench}\nspec: {paused: true, replicas: 3, selector: " + selector + "}\n"
}

func TestPlanTakesWhatReplacesNothing(t *testing.T) {
	for _, test := range []struct{ name, rendered string }{
		{"a key of a custom resource", "apiVersion: acme.io/v1\nkind: Web\nmetadata: {name: web}\nspec: {$patch: replace}\n"},
		{"a field of a custom resource", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\nspec: {versions: [{schema: {openAPIV3Schema: {properties: {$patch: {type: string}}}}}]}\n"},
		{"a ReplicaSet of other labels", takenOver("{matchLabels: {app: web}}", "{app: other}")},
		{"a ReplicaSet that has no labels itself", takenOver("{matchLabels: {app: web}}", "{}")},
		{"a ReplicaSet without one of the labels", takenOver("{matchLabels: {app: web, a: b}}", "{app: web}")},
		{"a ReplicaSet that an expression leaves out", takenOver("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", "{app: web}")},
		{"a ReplicaSet in another namespace", strings.Replace(takenOver("{matchLabels: {app: web}}", "{app: web}"), "namespace: bench", "namespace: other", 1)},
	} {
		t.Run(test.name, func(t *testing.T) { planOf(t, test.rendered) })
	}
}

func TestPlanRefuses(t *testing.T) {
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n"
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for _, test := range []struct {
		name, rendered, crds string
		kind                 error
		says                 string
	}{
		{"what is no object", "- a\n", "", ErrBadManifest, "not a mapping"},
		{"what cannot be read", "a: [\n", "", ErrBadManifest, "document 1"},
		{"an object twice", pod + "---\n" + strings.ReplaceAll(pod, "acme", "evil"), "", ErrBadManifest, "Pod web twice"},
		{"an object twice, with the namespace named once", pod + "---\n" + strings.ReplaceAll(pod, "{name: web}", "{name: web, namespace: bench}"), "", ErrBadManifest, "twice"},
		{"a pod among the CRDs", pod, crd + "---\n" + pod, ErrBadManifest, "only CustomResourceDefinitions"},
		{"what Helm removes", "kind: ConfigMap\ndata: {a: \"x<no value>y\"}\n", "", ErrBadManifest, "<no value>"},
		{"an object twice that mentions generateName", strings.ReplaceAll(pod+"---\n"+pod, "{name: web}", "{name: web, annotations: {a: 'generateName: b'}}"), "", ErrBadManifest, "twice"},
		{"an object twice that has a generateName too", strings.ReplaceAll(pod+"---\n"+pod, "{name: web}", "{name: web, generateName: web-}"), "", ErrBadManifest, "twice"},
		{"a key that only Helm reads as kind", pod + "Kind: ConfigMap\n", "", ErrBadManifest, `the key "Kind", which Helm reads as "kind"`},
		{"a key that only Helm reads as metadata", pod + "Metadata: {annotations: {helm.sh/hook: test}}\n", "", ErrBadManifest, `"Metadata"`},
		{"a key that only Helm reads as annotations", strings.ReplaceAll(pod, "{name: web}", "{name: web, annotation\u017f: {helm.sh/hook: test}}"), "", ErrBadManifest, `reads as "annotations"`},
		{"a hook without an event", strings.ReplaceAll(pod, "{name: web}", "{name: web, annotations: {helm.sh/hook: ''}}"), "", ErrBadManifest, "without an event"},
		{"a directive of a patch", strings.ReplaceAll(pod, "spec: {", "spec: {$patch: replace, "), "", ErrBadManifest, `the key "$patch", which an upgrade obeys`},
		{"one in a list", strings.ReplaceAll(pod, "name: c,", "name: c, securityContext: {$patch: delete},"), "", ErrBadManifest, `"$patch"`},
		{"one that keeps some keys", strings.ReplaceAll(pod, "spec: {", "spec: {$retainKeys: [containers], "), "", ErrBadManifest, `"$retainKeys"`},
		{"one in the definition of a custom resource", crd + "spec: {conversion: {$patch: replace}}\n", "", ErrBadManifest, `"$patch"`},
		{"one that orders a list", strings.ReplaceAll(pod, "spec: {", "spec: {$setElementOrder/containers: [{name: c}], "), "", ErrBadManifest, `"$setElementOrder/containers"`},
		{"one that removes from a list", strings.ReplaceAll(pod, "{name: web}", "{name: web, $deleteFromPrimitiveList/finalizers: [a]}"), "", ErrBadManifest, `"$deleteFromPrimitiveList/finalizers"`},
		{"a Deployment that is rolled back", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, annotations: {deprecated.deployment.rollback.to: '1'}}\n", "", ErrBadManifest, "an older template"},
		{"a ReplicaSet that a Deployment takes over", takenOver("{matchLabels: {app: web}}", "{app: web, a: b}"), "", ErrBadManifest, "apps/ReplicaSet old has the labels that apps/Deployment bench/web selects"},
		{"one by an expression", takenOver("{matchExpressions: [{key: app, operator: In, values: [a, web]}, {key: b, operator: DoesNotExist}, {key: a, operator: NotIn, values: [c]}, {key: app, operator: Exists}]}", "{app: web, a: b}"), "", ErrBadManifest, "selects"},
		{"one by the label that Helm adds", takenOver("{matchLabels: {app.kubernetes.io/managed-by: Helm}}", "{app.kubernetes.io/managed-by: me}"), "", ErrBadManifest, "selects"},
		{"too many to compare", takenOver("{matchExpressions: [{key: app, operator: In, values: ["+strings.Repeat("a,", 1<<16)+"]}]}", "{}") + strings.Repeat("---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {generateName: a}\n", 16), "", ErrBadManifest, "17 ReplicaSets, and 65538 labels and values"},
		{"a forged record of a release", "kind: Secret\napiVersion: v1\nmetadata: {name: a, labels: {owner: helm, name: other}}\n", "", ErrBadManifest, "only Helm may write"},
		{"one in a List", "kind: List\napiVersion: v1\nitems: [{kind: Secret, apiVersion: v1, metadata: {name: sh.helm.release.v1.other.v1}}]\n", "", ErrBadManifest, "only Helm may write"},
		{"one by its type", "kind: Secret\napiVersion: v1\nmetadata: {name: a}\ntype: helm.sh/release.v1\n", "", ErrBadManifest, "only Helm may write"},
		{"one in a ConfigMap whose name is made", "kind: ConfigMap\napiVersion: v1\nmetadata: {generateName: sh.helm.release.v1.other.}\n", "", ErrBadManifest, "only Helm may write"},
		{"a large record", "kind: ConfigMap\nmetadata: {name: a}\ndata: {a: " + base64.StdEncoding.EncodeToString(noise) + "}\n", "", ErrTooLarge, "release record has"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := input(test.rendered)
			in.CRDs = manifest.Manifest(test.crds)
			_, err := New(t.Context(), in)
			require.ErrorIs(t, err, test.kind)
			assert.ErrorContains(t, err, test.says)
		})
	}
	p := planOf(t, "kind: Pod\nmetadata: {generateName: a-}\n---\nkind: Pod\nmetadata: {generateName: a-}\n---\n# empty\n---\nkind: Pod\nmetadata: {name: h, annotations: {helm.sh/hook: test}}\n")
	assert.Len(t, p.Objects, 2)
	assert.Len(t, p.Hooks, 1)
}

func TestTransform(t *testing.T) {
	p := planOf(t, pod)
	changed, err := p.Transform(t.Context(), func(m manifest.Manifest) (manifest.Manifest, error) {
		return bytes.ReplaceAll(m, []byte("acme"), []byte("mirror")), nil
	}, manifest.AddLabels(map[string]string{"job": "7"}))
	require.NoError(t, err)
	assert.Equal(t, "mirror/web:1", changed.Images.Images[0].Image)
	assert.Contains(t, string(changed.Manifest()), "job: \"7\"")
	assert.Equal(t, "acme/web:1", p.Images.Images[0].Image)
	assert.NotEqual(t, p.Digest(), changed.Digest())

	cause := errors.New("no")
	_, err = p.Transform(t.Context(), func(manifest.Manifest) (manifest.Manifest, error) { return nil, cause })
	require.ErrorIs(t, err, cause)
	_, err = p.Transform(t.Context(), func(manifest.Manifest) (manifest.Manifest, error) { return manifest.Manifest("- a\n"), nil })
	require.ErrorIs(t, err, ErrBadManifest)
}

// A transform cannot end the program, and the end of the context does not wait for it.
func TestTransformIsCaught(t *testing.T) {
	p := planOf(t, pod)
	_, err := p.Transform(t.Context(), func(manifest.Manifest) (manifest.Manifest, error) { panic("no mirror") })
	require.ErrorContains(t, err, "panic: no mirror")

	ctx, end := context.WithCancel(t.Context())
	goOn := make(chan struct{})
	defer close(goOn)
	_, err = p.Transform(ctx, func(m manifest.Manifest) (manifest.Manifest, error) { end(); <-goOn; return m, nil })
	require.ErrorIs(t, err, context.Canceled)

	for _, none := range []manifest.Transform{nil, manifest.RetagImages(nil, manifest.RetagOptions{})} {
		_, err = p.Transform(t.Context(), manifest.AddLabels(map[string]string{"job": "7"}), none)
		require.ErrorIs(t, err, errdef.ErrInvalidArgument)
	}
}

// A plan that nobody made is refused, and passes no check.
func TestZeroPlan(t *testing.T) {
	for _, p := range []*Plan{nil, {}, {Release: "web", Chart: chart.Metadata{Name: "web", Version: "1.2.3"}}} {
		_, err := p.Transform(t.Context())
		require.ErrorIs(t, err, ErrBadPlan)
		require.ErrorIs(t, p.Save(filepath.Join(t.TempDir(), "plan")), ErrBadPlan)
		require.ErrorIs(t, p.WriteChart(t.Context(), io.Discard, ChartOptions{}), ErrBadPlan)
		findings := p.Check(func(p *Plan) []Finding { panic(p.Images.Images) })
		require.Len(t, findings, 1)
		assert.Contains(t, findings[0].String(), "not a valid plan")
	}
	assert.PanicsWithValue(t, "plan: Check: rule 1 of 1 is nil", func() { planOf(t, pod).Check(nil) })
}

// The errors of files name the path that was given.
func TestFilesThatAreMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "plan.json")
	_, err := Load(t.Context(), missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, missing)

	p := planOf(t, pod)
	err = p.Save(missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "plan: save "+missing+": ")
	require.NotContains(t, err.Error(), ".new-")
	require.ErrorIs(t, p.Save(""), errdef.ErrInvalidArgument)
	folder := t.TempDir()
	err = p.Save(folder)
	require.ErrorContains(t, err, "plan: save "+folder+": ")
	require.NotContains(t, err.Error(), ".new-")
}

func TestCheck(t *testing.T) {
	p := planOf(t, pod)
	findings := p.Check(
		func(*Plan) []Finding { return nil },
		func(p *Plan) []Finding {
			return []Finding{{Rule: "images", Object: p.Images.Images[0].Object, Value: p.Images.Images[0].Image}}
		},
	)
	require.Len(t, findings, 1)
	assert.Equal(t, "acme/web:1", findings[0].Value)
}

// All has every object once, with its place and what Kubernetes decodes.
func TestAll(t *testing.T) {
	in := input("kind: PodList\napiVersion: v1\nitems: [{metadata: {name: a}}, {metadata: {name: b}, spec: {priority: 0x10}}]\n---\n" +
		"kind: Job\nmetadata: {name: c, annotations: {helm.sh/hook: test}}\n")
	in.CRDs = manifest.Manifest("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: d}\n")
	p, err := New(t.Context(), in)
	require.NoError(t, err)
	var got []string
	for place, content := range p.All() {
		got = append(got, fmt.Sprint(place.Object.Kind, place.Object.Name, place.Hooks, content["kind"], content["metadata"].(map[string]any)["name"], content["spec"]))
	}
	assert.Equal(t, []string{
		"Poda[]Poda<nil>", "Podb[]Podbmap[priority:16]", "Jobc[test]Jobc<nil>", "CustomResourceDefinitiond[]CustomResourceDefinitiond<nil>",
	}, got)
	for place := range p.All() {
		assert.Equal(t, "a", place.Object.Name)
		break
	}
}

func TestFindingString(t *testing.T) {
	f := Finding{Rule: "images", Object: manifest.ObjectRef{Group: "apps", Kind: "Deployment", Name: "web"}, Path: "spec.image", Text: "is from elsewhere", Value: "evil/x\n"}
	assert.Equal(t, `images: apps/Deployment web spec.image: is from elsewhere: evil/x\n`, f.String())
	assert.Equal(t, "kinds: Pod a: is not allowed", Finding{Rule: "kinds", Object: manifest.ObjectRef{Kind: "Pod", Name: "a"}, Text: "is not allowed"}.String())
}

func TestSaveAndLoad(t *testing.T) {
	p := planOf(t, pod)
	p.Notes = "hello"
	file := filepath.Join(t.TempDir(), "plan")
	require.NoError(t, p.Save(file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	again, err := Load(t.Context(), file)
	require.NoError(t, err)
	assert.Equal(t, p, again)
	assert.Equal(t, p.Digest(), again.Digest())

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, test := range []struct {
		name   string
		change func(map[string]any)
		says   string
	}{
		{"another version", func(m map[string]any) { m["helmexecPlan"] = 2 }, "version 2"},
		{"another image", func(m map[string]any) { m["documents"] = []string{strings.ReplaceAll(pod, "acme", "evil")} }, "was changed"},
		{"another field", func(m map[string]any) { m["digests"] = "x" }, "unknown field"},
		{"no documents", func(m map[string]any) { m["documents"] = []string{"- a"} }, "not a mapping"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m map[string]any
			require.NoError(t, json.Unmarshal(text, &m))
			test.change(m)
			changed, err := json.Marshal(m)
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "plan")
			require.NoError(t, os.WriteFile(file, changed, 0o600))
			_, err = Load(t.Context(), file)
			require.ErrorIs(t, err, ErrBadPlan)
			assert.ErrorContains(t, err, test.says)
		})
	}
	_, err = Load(t.Context(), t.TempDir())
	require.ErrorIs(t, err, ErrBadPlan)
	require.ErrorContains(t, err, "is a folder")
	_, err = Load(t.Context(), filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The digest is over everything that is applied.
func TestDigest(t *testing.T) {
	first := planOf(t, pod).Digest()
	assert.Equal(t, first, planOf(t, "# a comment\n---\n"+pod).Digest())
	for name, change := range map[string]func(*Input){
		"release":   func(in *Input) { in.Release = "x" },
		"namespace": func(in *Input) { in.Namespace = "x" },
		"upgrade":   func(in *Input) { in.Upgrade = true },
		"base":      func(in *Input) { in.Base = 1 },
		"cluster":   func(in *Input) { in.KubeVersion = "v1.30.1" },
		"chart":     func(in *Input) { in.Chart.Version = "2.0.0" },
		"archive":   func(in *Input) { in.ChartDigest = "sha256:1" },
		"signer":    func(in *Input) { in.SigningKey = signingKey },
		"values":    func(in *Input) { in.Values = chart.Values{"n": 1} },
		"defaults":  func(in *Input) { in.Defaults = chart.Values{"n": 1} },
		"notes":     func(in *Input) { in.Notes = "x" },
		"objects":   func(in *Input) { in.Rendered = manifest.Manifest(strings.ReplaceAll(pod, "acme", "evil")) },
		"CRDs": func(in *Input) {
			in.CRDs = manifest.Manifest("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n")
		},
	} {
		in := input(pod)
		change(&in)
		p, err := New(t.Context(), in)
		require.NoError(t, err)
		assert.NotEqual(t, first, p.Digest(), name)
	}
}

const signingKey = "0123456789ABCDEF0123456789ABCDEF01234567"

// Who signed the chart is a part of the plan, and stays with it.
func TestSigningKey(t *testing.T) {
	in := input(pod)
	in.SigningKey = signingKey
	p, err := New(t.Context(), in)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "plan")
	require.NoError(t, p.Save(file))
	saved, err := Load(t.Context(), file)
	require.NoError(t, err)
	assert.Equal(t, signingKey, saved.SigningKey)
	changed, err := saved.Transform(t.Context())
	require.NoError(t, err)
	assert.Equal(t, signingKey, changed.SigningKey)
	in.SigningKey = "ann@charts.example"
	_, err = New(t.Context(), in)
	require.ErrorIs(t, err, errdef.ErrInvalidArgument)
}

// A version becomes a part of a template.
func TestKubeVersionThatIsNone(t *testing.T) {
	in := input(pod)
	in.KubeVersion = `v1.34.0" }}{{ fail "`
	_, err := New(t.Context(), in)
	require.ErrorIs(t, err, errdef.ErrInvalidArgument)
}

type filesOf map[string]string

func (f filesOf) Get(name string) string { return f[name] }

// Helm executes the templates and removes white space from the ends of a document.
func TestTemplatesPrintTheDocuments(t *testing.T) {
	p := planOf(t, "kind: A\nspec: {z: \"x\\n\\n\\n\"}\n---\nkind: B\nspec: {z: \" x\\n\"}\n---\nkind: C\nspec: '{{ fail \"no\" }}'\n")
	files, err := p.files(nil)
	require.NoError(t, err)
	texts := filesOf{}
	for _, f := range files {
		texts[f.name] = string(f.text)
	}
	for i, document := range p.documents {
		var out strings.Builder
		parsed, err := template.New("").Parse(texts[fmt.Sprintf("templates/%06d.yaml", i+1)])
		require.NoError(t, err)
		require.NoError(t, parsed.Execute(&out, map[string]any{"Files": texts}))
		var want, got any
		require.NoError(t, yaml.Unmarshal(document, &want))
		require.NoError(t, yaml.Unmarshal([]byte(strings.TrimSpace(out.String())), &got))
		assert.Equal(t, want, got)
	}
}

func TestWriteChart(t *testing.T) {
	p := planOf(t, pod+"---\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '{{ .Files.Get \"x\" }}'}\n")
	var first, second bytes.Buffer
	require.NoError(t, p.WriteChart(t.Context(), &first, ChartOptions{}))
	require.NoError(t, p.WriteChart(t.Context(), &second, ChartOptions{}))
	assert.Equal(t, first.Bytes(), second.Bytes())
	file := filepath.Join(t.TempDir(), "plan.tgz")
	require.NoError(t, os.WriteFile(file, first.Bytes(), 0o600))
	ch, err := chart.Read(file, chart.Options{})
	require.NoError(t, err)
	assert.Equal(t, "web", ch.Metadata.Name)
	assert.Equal(t, p.Digest(), ch.Metadata.Annotations["helmexec/plan"])
	assert.Equal(t, []string{
		"Chart.yaml", "values.yaml", "templates/0000.yaml", "objects/000001.yaml", "templates/000001.yaml", "objects/000002.yaml", "templates/000002.yaml",
	}, ch.Files)
}

func TestDiff(t *testing.T) {
	p := planOf(t, pod+"---\nkind: ConfigMap\nmetadata: {name: new}\n---\nkind: ConfigMap\nmetadata: {name: same}\n")
	all, err := p.Diff(t.Context(), manifest.Manifest(strings.ReplaceAll(pod, "acme", "old")+
		"---\nmetadata: {name: same, namespace: bench}\nkind: ConfigMap\n---\nkind: ConfigMap\nmetadata: {name: gone}\n"))
	require.NoError(t, err)
	var names []string
	for _, d := range all {
		names = append(names, d.Object.Name)
	}
	assert.Equal(t, []string{"gone", "new", "same", "web"}, names)
	assert.Nil(t, all[0].After)
	assert.Nil(t, all[1].Before)
	assert.Contains(t, string(all[3].Before), "old/web:1")
	assert.Contains(t, string(all[3].After), "acme/web:1")
	_, err = p.Diff(t.Context(), manifest.Manifest("- a\n"))
	require.ErrorIs(t, err, ErrBadManifest)
}
