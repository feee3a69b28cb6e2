package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"

	"github.com/sut-bench/helmexec"
)

// schemasOfOtherDocuments: helm follows the references of a chart's schema to the network and to files. A chart
// with such a reference is refused before that, and the charts that are accepted make helm contact nobody.
func schemasOfOtherDocuments(b *bed) {
	var asked atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer canary.Close()
	// Requests to any other host come here too.
	env := map[string]string{"HTTP_PROXY": canary.URL, "HTTPS_PROXY": canary.URL, "NO_PROXY": "", "http_proxy": canary.URL, "https_proxy": canary.URL, "no_proxy": ""}
	cfg := b.cfg
	cfg.Env = env
	h, err := helmexec.New(cfg)
	b.must(err)

	for _, test := range []struct {
		name, schema   string
		sound, follows bool // helm by itself asks the network for it
	}{
		{name: "none", schema: `{"type": "object"}`, sound: true},
		{name: "within", schema: `{"$defs": {"a": {"type": "object"}}, "properties": {"b": {"$ref": "#/$defs/a"}}}`, sound: true},
		{name: "an absolute $id", schema: `{"$id": "http://charts.example/a.json", "definitions": {"a": {}}, "properties": {"b": {"$ref": "#/definitions/a"}}}`, sound: true},
		{name: "an $id in it", schema: `{"properties": {"b": {"$id": "http://charts.example/b.json", "$ref": "#/definitions/a", "definitions": {"a": {}}}}}`, sound: true},
		{name: "draft 4", schema: `{"$schema": "http://json-schema.org/draft-04/schema#"}`, sound: true},
		{name: "draft 6", schema: `{"$schema": "http://json-schema.org/draft-06/schema#"}`, sound: true},
		{name: "draft 7", schema: `{"$schema": "https://json-schema.org/draft-07/schema"}`, sound: true},
		{name: "draft 2019-09", schema: `{"$schema": "https://json-schema.org/draft/2019-09/schema"}`, sound: true},
		{name: "draft 2020-12", schema: `{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"b": {"$ref": "#/$defs/c"}}, "$defs": {"c": {}}}`, sound: true},
		{name: "the network", schema: `{"$ref": "` + canary.URL + `/a.json"}`, follows: true},
		{name: "the network, at the second try", schema: `{"$ref": "#", "$ref": "` + canary.URL + `/a.json"}`, follows: true},
		{name: "the network, escaped", schema: `{"\u0024ref": "` + canary.URL + `/a.json"}`, follows: true},
		{name: "the network, behind a large number", schema: `{"a": 1e999, "$ref": "` + canary.URL + `/a.json"}`, follows: true},
		{name: "the network, behind a byte order mark", schema: "\ufeff" + `{"$ref": "` + canary.URL + `/a.json"}`, follows: true},
		{name: "another schema of schemas", schema: `{"$schema": "` + canary.URL + `/meta.json"}`, follows: true},
		{name: "the network, by an $id whose empty query gets lost", schema: `{"$id": "` + canary.URL + `/a.json?", "$ref": "#/definitions/a", "definitions": {"a": {}}}`, follows: true},
		{name: "the network, by an $id in it", schema: `{"properties": {"b": {"$id": "` + canary.URL + `/b.json?", "$ref": "#/definitions/a", "definitions": {"a": {}}}}}`, follows: true},
		{name: "the network, by an id of draft 4", schema: `{"$schema": "http://json-schema.org/draft-04/schema#", "id": "` + canary.URL + `/a.json?", "properties": {"b": {"$ref": "#/definitions/a"}}, "definitions": {"a": {}}}`, follows: true},
		{name: "files, by an $id without a host", schema: `{"$id": "file:/etc/hostname", "$ref": "#/definitions/a", "definitions": {"a": {}}}`},
		{name: "files", schema: `{"$ref": "file:///etc/hostname"}`},
		{name: "files, relative", schema: `{"$ref": "../../../../../../../etc/hostname"}`},
	} {
		chart := b.folder(map[string]string{"templates/a.yaml": "", "./values.schema.json": test.schema})
		asked.Store(0)
		_, err := h.Template(b.ctx, chart, helmexec.TemplateOptions{})
		if test.sound {
			b.must(err)
		} else {
			b.wantErr(err, helmexec.ErrBadChart, "refers to another document")
		}
		_, err = h.Template(b.ctx, chart, helmexec.TemplateOptions{SkipSchema: true})
		b.must(err)
		if n := asked.Load(); n != 0 {
			b.Errorf("%s: %d requests", test.name, n)
		}
		if test.follows {
			cmd := exec.CommandContext(b.ctx, b.cfg.Binary, "template", "web", chart)
			cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1")
			_ = cmd.Run()
			if asked.Load() == 0 {
				b.Errorf("%s: helm by itself did not ask, so this shows nothing", test.name)
			}
		}
	}
}
