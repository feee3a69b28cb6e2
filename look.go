package helmexec

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// lookChart makes nothing. Rendered with the real cluster it tells which of the objects in its
// values are there, which of these are going, and which belong to the release named in the values:
// the template function lookup is Helm's one way to ask for any object. A kind that the cluster does
// not serve has none. Helm marks whose an object is, and installs over none that is not marked: one
// without a mark has lost it.
var lookChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: look\nversion: 3.0.0\n",
	"templates/there.yaml": `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.name }}
data:
  there: "
  {{- range $i, $o := .Values.objects }}
  {{- if $.Capabilities.APIVersions.Has (printf "%s/%s" $o.apiVersion $o.kind) }}
  {{- with lookup $o.apiVersion $o.kind (default $.Release.Namespace $o.namespace) $o.name }}
  {{- $owner := dig "annotations" "meta.helm.sh/release-name" "" .metadata }}
  {{- $i }} {{ if .metadata.deletionTimestamp }}going{{ else }}staying{{ end }} {{ if or (not $owner) (eq $owner $.Values.release) }}owned{{ else }}foreign{{ end }} {{ end }}
  {{- end }}
  {{- end }}"
`,
}

// sighting is an object that is there.
type sighting struct {
	Remain
	going bool // it is being deleted
	owned bool // it was made by the release, and is no hook; nobody else's, at least
}

// look asks the cluster which of the objects of a release are there. Starts one helm process.
func (h *Helm) look(ctx context.Context, t target, release string, objects []Remain) ([]sighting, error) {
	if len(objects) == 0 {
		return nil, nil
	}
	chart, err := h.ownFiles(ctx, "look", lookChart)
	if err != nil {
		return nil, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	var refs []any
	for _, o := range objects {
		refs = append(refs, map[string]any{
			"apiVersion": strings.TrimPrefix(o.Group+"/"+o.Version, "/"), "kind": o.Kind, "namespace": o.Namespace, "name": o.Name,
		})
	}
	values, err := Values{
		"objects": refs, "release": release,
		// Helm refuses to render an object that is there and another's: this one never is.
		"name": "look-" + strings.ToLower(rand.Text()),
	}.encode()
	if err != nil {
		return nil, err
	}
	a := templateArgs(d, t, TemplateOptions{FromCluster: true}, true)
	var out []byte
	err = h.retry(ctx, func() (err error) {
		out, err = h.run(ctx, invocation{args: append(a, "--", "look", chart), stdin: values})
		return err
	})
	if err != nil {
		return nil, err
	}
	rendered, err := Manifest(out).Objects()
	if err == nil && len(rendered) != 1 {
		err = fmt.Errorf("want one object, got %d", len(rendered))
	}
	if err != nil {
		return nil, badOutput("template", err)
	}
	text, _ := field(rendered[0], "data", "there").(string)
	var there []sighting
	for said := range slices.Chunk(strings.Fields(text), 3) {
		if i, err := strconv.Atoi(said[0]); err == nil && i < len(objects) && len(said) == 3 {
			there = append(there, sighting{objects[i], said[1] == "going", said[2] == "owned"})
		}
	}
	return there, nil
}

// present keeps of the objects those that are there, or all when the cluster does not answer.
func (h *Helm) present(ctx context.Context, t target, objects []Remain) []Remain {
	seen, err := h.look(ctx, t, "", objects)
	if err != nil {
		return objects
	}
	var there []Remain
	for _, s := range seen {
		there = append(there, s.Remain)
	}
	return there
}
