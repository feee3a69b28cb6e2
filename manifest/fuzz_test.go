package manifest_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec/manifest"
)

// seedManifests adds manifests of every sort to a fuzz target.
func seedManifests(f *testing.F) {
	files, err := filepath.Glob("testdata/manifests/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no manifests in testdata", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, test := range hostileStreams {
		f.Add([]byte(test.stream))
	}
	f.Add([]byte("--- {apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}}\n...\n\ufeff---\r\n# x\r\n"))
	f.Add([]byte("a: &a [*a]\nkind: &k Pod\n? x\n: {<<: *a}\n"))
}

// Whatever the bytes are, nothing panics, and the views of one manifest agree.
func FuzzImages(f *testing.F) {
	seedManifests(f)
	f.Fuzz(func(t *testing.T, stream []byte) {
		m := manifest.Manifest(stream)
		opts := manifest.ImageOptions{FullNames: true}
		images, err := m.Images(opts)
		report, reportErr := m.ImageReport(opts)
		if err != nil && reportErr == nil {
			t.Fatal("the report has no error:", err)
		}
		inReport := make(map[string]bool)
		for _, use := range report.Images {
			inReport[use.Image] = true
			if use.Line < 1 || use.Line > bytes.Count(stream, []byte{'\n'})+bytes.Count(stream, []byte{'\r'})+2000 {
				t.Fatalf("line %d of %q", use.Line, use.Image)
			}
		}
		for _, image := range images {
			if _, err := manifest.ParseReference(image); err != nil || !inReport[image] {
				t.Fatalf("%q: %v", image, err)
			}
		}
		gpus, _ := m.GPUs(manifest.GPUOptions{})
		gpus.Fits([]map[string]int64{{"nvidia.com/gpu": 8}, nil})
		_, _ = m.Objects()
	})
}

func FuzzRetag(f *testing.F) {
	seedManifests(f)
	f.Fuzz(checkRetag)
}

// checkRetag checks that a retagged manifest names the same images, rewritten, and stays as it is the second time.
func checkRetag(t *testing.T, stream []byte) {
	mirrors := manifest.RegistryMap{"*": "mirror.lab/x"}
	m := manifest.Manifest(stream)
	opts := manifest.RetagOptions{Hints: true}
	all := manifest.ImageOptions{Exclude: []string{}}
	before, err := m.Images(all)
	after, report, retagErr := m.Retag(mirrors.Rewrite, opts)
	if err != nil || retagErr != nil {
		return
	}
	checkOnlyImages(t, m, after, report)
	if len(report.Changed) == 0 && !bytes.Equal(after, stream) {
		t.Fatalf("nothing changed, and yet it did:\n%q\n%q", stream, after)
	}
	images, err := after.Images(all)
	if err != nil {
		t.Fatalf("unreadable afterwards: %v\n%q\n%q", err, stream, after)
	}
	if len(report.Failed) == 0 {
		rewritten := func(image string) string {
			ref, err := manifest.ParseReference(image)
			if err != nil {
				t.Fatal(err)
			}
			if to := mirrors.Rewrite(ref); to != ref {
				return to.String()
			}
			return image
		}
		missing := make(map[string]bool)
		for _, image := range before {
			missing[rewritten(image)] = true
		}
		allowed := maps.Clone(missing)
		lists, _ := m.ImageReport(all)
		for _, hint := range lists.Hints { // a word is an image once it has a registry
			allowed[rewritten(hint.Image)] = true
		}
		words := make(map[string]bool) // with a registry, also one beside a field version has a version
		for _, image := range before {
			if !strings.ContainsAny(image, "/:@") {
				words[rewritten(image)] = true
			}
		}
		for _, image := range images {
			if ref, _ := manifest.ParseReference(image); !allowed[image] && words[ref.Name()] {
				image = ref.Name()
			}
			if delete(missing, image); !allowed[image] {
				t.Fatalf("%v became %v\n%q\n%q", before, images, stream, after)
			}
		}
		if len(missing) > 0 {
			t.Fatalf("%v became %v\n%q\n%q", before, images, stream, after)
		}
	}
	again, _, err := after.Retag(mirrors.Rewrite, opts)
	if err != nil || !bytes.Equal(again, after) {
		t.Fatalf("a second run changes it: %v\n%q\n%q", err, after, again)
	}
}
