package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestForeignReferences(t *testing.T) {
	for _, test := range []struct {
		name, schema string
		want         []string
	}{
		{"none", `{"type": "object"}`, nil},
		{"within", `{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}}`, nil},
		{"an absolute $id alone", `{"$id": "https://example.com/a.json", "properties": {"a": {"$ref": "#/$defs/b"}}}`, nil},
		{"the drafts", `{"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "http://json-schema.org/draft-04/schema"}, {"$schema": "http://json-schema.org/schema"}, {"$schema": "https://json-schema.org/draft-06/schema#"}]}`, nil},
		{"a draft from elsewhere than Helm before 3.18 has it", `{"$ref": "https://json-schema.org/draft-07/schema#"}`, []string{"https://json-schema.org/draft-07/schema"}},
		{"later languages", `{"$schema": "https://json-schema.org/draft/2020-12/schema", "a": {"$schema": "https://json-schema.org/draft/2019-09/schema#"}}`, nil},
		{"drafts that Helm has not", `{"$schema": "http://json-schema.org/draft-03/schema#", "a": {"$schema": "http://json-schema.org/draft-07/hyper-schema"}, "b": {"$ref": "http://json-schema.org/schema"}}`,
			[]string{"http://json-schema.org/draft-03/schema", "http://json-schema.org/draft-07/hyper-schema", "http://json-schema.org/schema"}},
		{"parts of a language", `{"$ref": "https://json-schema.org/draft/2020-12/meta/any", "a": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}`,
			[]string{"https://json-schema.org/draft/2020-12/meta/any", "https://json-schema.org/draft/2020-12/schema"}},
		{"a property of that name", `{"properties": {"$ref": {"type": "string"}}}`, nil},
		{"of the network", `{"$ref": "http://example.com/a.json#/b"}`, []string{"http://example.com/a.json"}},
		{"behind a number that is too large", `{"a": 1e999, "$ref": "file:///etc/hostname"}`, []string{"file:///etc/hostname"}},
		{"of files", `{"allOf": [{"a": [{"$ref": "file:///etc/passwd"}]}]}`, []string{"file:///etc/passwd"}},
		{"relative", `{"$ref": "other.json"}`, []string{"other.json"}},
		{"relative, upwards", `{"$ref": "../../etc/passwd#/a"}`, []string{"../../etc/passwd"}},
		{"another schema of schemas", `{"$schema": "https://example.com/meta"}`, []string{"https://example.com/meta"}},
		{"nearly a draft", `{"$schema": "http://json-schema.org.example.com/draft-07/schema#"}`, []string{"http://json-schema.org.example.com/draft-07/schema"}},
		{"dynamic", `{"$dynamicRef": "a.json#b", "x": {"$recursiveRef": "b.json"}}`, []string{"a.json", "b.json"}},
		{"twice, the first", `{"$ref": "a.json", "$ref": "#/b"}`, []string{"a.json"}},
		{"twice, the second", `{"$ref": "#/b", "$ref": "a.json"}`, []string{"a.json"}},
		{"escaped", `{"\u0024ref": "a.json", "$\u0072ef": "b.json"}`, []string{"a.json", "b.json"}},
		{"its own $id", `{"$id": "https://example.com/a", "properties": {"a": {"$ref": "https://example.com/a#/b"}}}`, []string{"https://example.com/a"}},
		{"an $id with an empty query, which a resolver drops", `{"$id": "http://example.com/a?", "$ref": "#/$defs/b", "$defs": {"b": {}}}`, []string{"http://example.com/a?"}},
		{"an $id with a query in front of a fragment", `{"a": {"$id": "b?#c", "$ref": "#"}}`, []string{"b?"}},
		{"an id with an empty query, in draft 4", `{"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://example.com/a?", "$ref": "#"}`, []string{"http://example.com/a?"}},
		{"an $id without a host, which a resolver adds", `{"$id": "file:/etc/passwd", "$ref": "#/a"}`, []string{"file:/etc/passwd"}},
		{"an $id with nothing but a slash", `{"allOf": [{"$id": "FILE:/", "$ref": "#"}]}`, []string{"FILE:/"}},
		{"an $id with a fragment", `{"$id": "http://example.com/a#b", "$ref": "#c"}`, []string{"http://example.com/a"}},
		{"an $id that stays what it is", `{"$id": "https://example.com/a/../b", "a": {"$id": "file:///a"}, "b": {"$id": "urn:a:b"}, "c": {"$id": "../c.json"}, "d": {"$id": "/d"}, "e": {"$id": "#f?"}, "f": {"$id": "http://example.com/f#"}}`, nil},
		{"a property called id", `{"properties": {"id": {"type": "string"}, "$id": {"default": "a?"}}}`, nil},
		{"in front of a space", `{"$ref": " #/a"}`, []string{" "}},
		{"where no schema is", `{"enum": [{"$ref": "a.json"}]}`, []string{"a.json"}},
		{"behind a list", `{"a": [1, [2, {}], "$ref"], "$ref": "a.json"}`, []string{"a.json"}},
		{"a list of texts", `{"required": ["$ref", "http://example.com"]}`, nil},
		{"behind the first value", `{} {"$ref": "a.json"}`, []string{"a.json"}},
		{"broken", `{"$ref": "a.json", `, []string{"a.json"}},
		{"empty", ``, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, foreignReferences([]byte(test.schema)))
		})
	}
}

func TestCheckSchemaReferences(t *testing.T) {
	const sound, foreign = `{"type": "object"}`, `{"$ref": "http://127.0.0.1:1/a.json"}`
	sub := "apiVersion: v2\nname: sub\nversion: 1.0.0\n"
	packed := func(schema string) string {
		return string(archiveOf(t, file("sub/Chart.yaml", sub), file("sub/values.schema.json", schema)))
	}
	for _, test := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"no schema", nil, ""},
		{"its own", []entry{file("demo/values.schema.json", sound)}, ""},
		{"its own, foreign", []entry{file("demo/values.schema.json", foreign)}, `values.schema.json refers to another document`},
		{"of a subchart", []entry{file("demo/charts/sub/Chart.yaml", sub), file("demo/charts/sub/values.schema.json", foreign)}, "charts/sub/values.schema.json"},
		{"of a subchart of a subchart", []entry{file("demo/charts/a/charts/b/values.schema.json", foreign)}, "charts/a/charts/b/values.schema.json"},
		{"of a packed subchart", []entry{file("demo/charts/sub-1.0.0.tgz", packed(foreign))}, "values.schema.json"},
		{"of a packed subchart, sound", []entry{file("demo/charts/sub-1.0.0.tgz", packed(sound))}, ""},
		{"behind a byte order mark, which Helm takes off", []entry{file("demo/values.schema.json", "\ufeff"+foreign)}, `values.schema.json refers to another document`},
		{"of a packed subchart behind one", []entry{file("demo/charts/sub-1.0.0.tgz", "\ufeff"+packed(foreign))}, "values.schema.json"},
		{"of another file", []entry{file("demo/files/values.schema.json", foreign), file("demo/charts/_no/values.schema.json", foreign)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "demo.tgz")
			require.NoError(t, os.WriteFile(path, archiveOf(t, append([]entry{file("demo/Chart.yaml", demoChart)}, test.entries...)...), 0o600))
			err := CheckSchemaReferences(path, Options{})
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrBad)
			assert.ErrorContains(t, err, test.want)
			c, err := Read(path, Options{})
			require.NoError(t, err)
			assert.True(t, c.HasSchema())
		})
	}
}
