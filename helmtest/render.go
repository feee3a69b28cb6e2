package helmtest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
)

// The cluster of a fake helm, as far as a chart sees it.
const kubeVersion = "v1.34.0"

// apiVersions are the APIs of that cluster.
type apiVersions []string

// Has is .Capabilities.APIVersions.Has.
func (a apiVersions) Has(api string) bool { return slices.Contains(a, api) }

var served = apiVersions{"apps/v1", "apps/v1/Deployment", "batch/v1", "batch/v1/Job", "v1", "v1/ConfigMap", "v1/Pod"}

// lookup finds the one object that every cluster has.
func (f *Fake) lookup(_, kind, _, name string) map[string]any {
	if kind != "Namespace" || name != "kube-system" {
		return map[string]any{}
	}
	return map[string]any{"metadata": map[string]any{"name": name, "uid": fmt.Sprintf("00000000-0000-0000-0000-%012d", f.store.moved+1)}}
}

// dig is Helm's: the text at two keys of an object, or without them.
func dig(outer, inner, without string, object map[string]any) string {
	below, _ := object[outer].(map[string]any)
	if text, ok := below[inner].(string); ok {
		return text
	}
	return without
}

// render renders the templates of a chart: with .Release, .Chart, .Values (without those of subcharts), .Files.Get and
// .Capabilities, and the functions. A test's chart can also just contain its manifest. hooks are the objects with the
// annotation helm.sh/hook.
func (f *Fake) render(c Call, from string, revision int) (manifest string, crds []string, hooks []Hook, notes string, err error) {
	files, err := chartFiles(from)
	if err != nil {
		return "", nil, nil, "", err
	}
	upgrades := strings.HasSuffix(c.Command(), "upgrade")
	var defaults, given, metadata map[string]any
	for _, file := range []struct {
		text string
		into *map[string]any
	}{{files["values.yaml"], &defaults}, {c.Stdin, &given}, {files["Chart.yaml"], &metadata}} {
		if err := yaml.Unmarshal([]byte(file.text), file.into); err != nil {
			return "", nil, nil, "", err
		}
	}
	data := map[string]any{
		"Release": map[string]any{
			"Name": c.Arg(0), "Namespace": cmp.Or(c.Flag("--namespace"), "default"), "Revision": revision, "IsInstall": !upgrades, "IsUpgrade": upgrades,
		},
		"Chart":  map[string]any{"Name": metadata["name"], "Version": metadata["version"], "AppVersion": metadata["appVersion"]},
		"Values": map[string]any(chart.Values(defaults).Merge(given)), // as Helm merges them
		"Files":  chartText(files),
		"Capabilities": map[string]any{
			"KubeVersion": map[string]any{"Version": cmp.Or(c.Flag("--kube-version"), kubeVersion), "Major": "1", "Minor": "34"}, "APIVersions": served,
		},
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case strings.HasPrefix(name, "crds/"):
			crds = append(crds, files[name])
			continue
		case !strings.HasPrefix(name, "templates/"):
			continue
		}
		text, err := f.execute(name, files[name], data)
		if err != nil {
			return "", nil, nil, "", fmt.Errorf("execution error at (%v/%s:1:1): %w", metadata["name"], name, err)
		}
		if path.Base(name) == "NOTES.txt" {
			notes = text
			continue
		}
		for _, document := range strings.Split("\n"+text, "\n---") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			document = strings.TrimLeft(document, "\n")
			if hook, isHook := hookOf(document); isHook {
				hooks = append(hooks, hook)
			} else {
				fmt.Fprintf(&out, "---\n# Source: %v/%s\n%s\n", metadata["name"], name, document)
			}
		}
	}
	return out.String(), crds, hooks, notes, nil
}

type chartText map[string]string

// Get is .Files.Get.
func (f chartText) Get(name string) string { return f[name] }

// functions are what templates have beside the functions of text/template.
func (f *Fake) functions() template.FuncMap {
	return template.FuncMap{
		"fail":   func(text string) (string, error) { return "", errors.New(text) },
		"toJson": toJSON, "quote": toJSON, "lookup": f.lookup, "dig": dig,
	}
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

var unknownFunction = regexp.MustCompile(`function "([^"]*)" not defined$`)

func (f *Fake) execute(name, text string, data any) (string, error) {
	t, err := template.New(name).Funcs(f.functions()).Parse(text)
	if err != nil {
		if unknown := unknownFunction.FindStringSubmatch(err.Error()); unknown != nil {
			err = fmt.Errorf("helmtest: the fake helm has no function %q; beside those of text/template it has %s: simplify the chart of this test, or take a real helm",
				unknown[1], strings.Join(slices.Sorted(maps.Keys(f.functions())), ", "))
		}
		return "", err
	}
	var out bytes.Buffer
	err = t.Execute(&out, data)
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner // as Helm, which shows only what fail was given
	}
	return strings.ReplaceAll(out.String(), "<no value>", ""), err // as Helm
}

func hookOf(document string) (Hook, bool) {
	var object struct {
		Kind     string
		Metadata struct {
			Name        string
			Annotations map[string]string
		}
	}
	if yaml.Unmarshal([]byte(document), &object) != nil || object.Metadata.Annotations["helm.sh/hook"] == "" {
		return Hook{}, false
	}
	return Hook{
		Kind: object.Kind, Name: object.Metadata.Name, Events: strings.Split(object.Metadata.Annotations["helm.sh/hook"], ","), Manifest: document,
	}, true
}

// chartFiles reads a chart, a folder or an archive.
func chartFiles(chart string) (map[string]string, error) {
	files := map[string]string{}
	info, err := os.Stat(chart)
	if err != nil {
		return nil, fmt.Errorf("path %q not found", chart)
	}
	if info.IsDir() {
		return files, filepath.WalkDir(chart, func(file string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(file)
			name, relErr := filepath.Rel(chart, file)
			files[filepath.ToSlash(name)] = string(text)
			return errors.Join(err, relErr)
		})
	}
	f, err := os.Open(chart)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		_, name, _ := strings.Cut(header.Name, "/")
		files[name] = string(text)
	}
}
