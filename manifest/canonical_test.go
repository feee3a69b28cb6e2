package manifest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCanonical(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\n"
	for _, test := range []struct {
		name, text string
		want       []string
		says       string // of the error
	}{
		{name: "nothing", text: "# nothing\n---\nnull\n"},
		{name: "sorted, without comments", text: "kind: Pod # a\napiVersion: v1\n", want: []string{pod}},
		{name: "several", text: pod + "---\n" + pod, want: []string{pod, pod}},
		{name: "JSON", text: `{"kind": "Pod", "apiVersion": "v1"}` + " # a comment\n# another\n", want: []string{pod}},
		{name: "quoted keys", text: `"kind": Pod` + "\n'apiVersion': v1\n", want: []string{pod}},
		{name: "an indented document", text: "  kind: Pod\n  apiVersion: v1\n", want: []string{pod}},
		{name: "lone carriage returns", text: "kind: Pod\rapiVersion: v1\r", want: []string{pod}},
		{name: "merges and aliases", text: "kind: &a x\nb: *a\n<<: {kind: Pod, b: c}\n", want: []string{"b: c\nkind: Pod\n"}},
		{name: "a List", text: "kind: PodList\napiVersion: v1\nitems: [{spec: {a: 1e2}}]\n", want: []string{"apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec:\n    a: 100\nkind: PodList\n"}},
		{name: "no object", text: "- a\n", says: "not a mapping"},
		{name: "no kind", text: "apiVersion: v1\nitems: [{kind: Pod}]\n", says: "no kind"},
		{name: "a kind that is a number", text: "kind: 5\n", says: "no kind"},
		{name: "the text that Helm removes", text: "kind: A\na: \"<no\\u0020value>\"\n", says: "which Helm removes"},
		{name: "a key that only Helm knows", text: pod + "Kind: Secret\n", says: `"Kind", which Helm reads as "kind"`},
		{name: "a key that only Helm knows, below metadata", text: pod + "metadata: {Name: a}\n", says: `"Name"`},
		{name: "two objects of JSON", text: "{\"kind\": \"Pod\"}\n{\"kind\": \"Pod\"}\n", says: "several documents"},
		{name: "two objects of JSON on a line", text: "{\"kind\": \"Pod\"}{\"kind\": \"Pod\"}", says: "several documents"},
		{name: "JSON and then YAML", text: "{\"kind\": \"Pod\"}\nkind: Secret\n", says: "several documents"},
		{name: "a tagged mapping and then another", text: "!!map {kind: Pod}\n{kind: Pod}\n", says: "several documents"},
		{name: "an indented mapping and then one that is not", text: "  kind: Pod\nkind: Secret\n", says: "several documents"},
		{name: "an end marker and another object", text: "kind: Pod\n...\nkind: Secret\n", says: "text behind the end"},
		{name: "an end marker with another object on its line", text: "kind: Pod\n... {kind: Secret}\n", says: "text behind the end"},
		{name: "an end marker and nothing", text: "kind: Pod\napiVersion: v1\n" + "...\n# a\n", want: []string{pod}},
		{name: "a marker between carriage returns", text: "kind: Pod\r---\rkind: Secret\n", says: "several documents"},
		{name: "a marker between line separators", text: "kind: Pod\u2028---\u2028kind: Secret\n", says: "several documents"},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, err := Manifest(test.text).Canonical(t.Context())
			if test.says != "" {
				require.ErrorIs(t, err, ErrBadManifest)
				assert.ErrorContains(t, err, test.says)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, document := range all {
				got = append(got, string(document.Text))
			}
			assert.Equal(t, test.want, got)
			for _, document := range all {
				objects, err := document.Text.Objects()
				require.NoError(t, err)
				text, err := json.Marshal(document.Objects)
				require.NoError(t, err)
				want, err := json.Marshal(objects)
				require.NoError(t, err)
				assert.JSONEq(t, string(want), string(text))
			}
			again, err := Manifest("---\n" + strings.Join(got, "---\n")).Canonical(t.Context())
			require.NoError(t, err)
			assert.Equal(t, all, again)
		})
	}
}
