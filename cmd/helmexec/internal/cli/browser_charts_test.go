package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
)

// hostileTexts are what a chart can say to a browser and to its reader.
func hostileTexts(canary string) []string {
	return []string{
		`<script>window.ran = 1</script>`, `<img src="` + canary + `/image" onerror="window.ran = 1">`, `"><svg onload="window.ran = 1">`, `' onfocus='window.ran = 1' autofocus='`,
		`</code></td></tr></table></section></main></body></html><script src=` + canary + `/script></script>`, `<!--`, `--><b>`, `]]>`, `</title><base href="` + canary + `/">`,
		`</style><style>@import "` + canary + `/style"; * { display: none }`, `<meta http-equiv="refresh" content="0;url=` + canary + `/refresh">`, `javascript:window.ran=1`,
		`<a href="javascript:window.ran=1" autofocus>`, `data:text/html,<script>window.ran=1</script>`, `url(` + canary + `/css)`, `expression(window.ran=1)`, `;position:fixed;inset:0`,
		"\u202egpj.exe", "\u2066\u2067isolated", "abc\u05d0\u05d1\u05d2 123", "\u0645\u0631\u062d\u0628\u0627: 1.2.3", "\u200b\u3164\ufeff", "\x1b[31mred", "a\nb\r\nc\td",
		"Z" + strings.Repeat("\u0301\u0323", 300), strings.Repeat("W", 3000), strings.Repeat("百度", 1000), strings.Repeat("/", 500), "\u2028\u2029", "&lt;script&gt;&#60;script&#62;", "+ADw-script+AD4-",
	}
}

// hostileChart says each of the texts wherever a chart can say something, and its user in the values, which are for stdin.
func hostileChart(b *bench, canary string) string {
	texts := hostileTexts(canary)
	values := map[string]any{}
	var objects []map[string]any
	for i, text := range texts {
		key := text
		if len(key) > 1000 {
			key = fmt.Sprint("long-", i) // YAML has no longer ones
		}
		values[key] = []any{text, map[string]any{key: text}}
		metadata := func(name string, annotations map[string]any) map[string]any {
			annotations["note"] = text
			return map[string]any{"name": fmt.Sprint(name, i, text), "namespace": text, "labels": map[string]any{"label": text, key: "x"}, "annotations": annotations}
		}
		pod := map[string]any{
			"hostNetwork": true, "serviceAccountName": text, "schedulerName": text, "nodeSelector": map[string]any{key: text},
			"containers": []any{
				map[string]any{"name": text, "image": "registry.example/" + text, "args": []any{canary + "/args:1", text}, "env": []any{map[string]any{"name": text, "value": text}}},
				map[string]any{"name": "sound", "image": fmt.Sprintf("registry%d.example/web:1", i), "securityContext": map[string]any{"privileged": true, "procMount": text}},
				map[string]any{"name": "taker", "image": text, "resources": map[string]any{"limits": map[string]any{"nvidia.com/gpu": text, "acme.io/" + key: 1}}},
			},
			"volumes": []any{map[string]any{"name": text, "hostPath": map[string]any{"path": text}}},
		}
		objects = append(objects,
			map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata("pod", map[string]any{}), "spec": pod},
			map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": metadata("hook", map[string]any{"helm.sh/hook": "post-install"}), "stringData": map[string]any{key: text}},
			map[string]any{"apiVersion": "acme.io/v1", "kind": "Kind" + text, "metadata": metadata("custom", map[string]any{}), "spec": map[string]any{key: text}},
		)
	}
	stdin, err := json.Marshal(values)
	require.NoError(b, err)
	b.stdin = string(stdin)
	description, err := json.Marshal(strings.Join(texts, " "))
	require.NoError(b, err)
	return chartOf(b, "hostile", objects, map[string]string{
		"Chart.yaml":          fmt.Sprintf("{apiVersion: v2, name: hostile, version: 1.0.0, appVersion: %s, description: %s}", description, description),
		"templates/NOTES.txt": strings.Join(texts, "\n"),
	})
}

// largeChart has long lists of everything.
func largeChart(b *bench) string {
	var objects []map[string]any
	for i := range 400 {
		objects = append(objects, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprint("config-", i)}})
	}
	for i := range 60 {
		objects = append(objects, map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprint("pod-", i)}, "spec": map[string]any{
			"hostPID": i%2 == 0, "containers": []any{
				map[string]any{"name": "one", "image": "registry.example/shared:1", "resources": map[string]any{"limits": map[string]any{"nvidia.com/gpu": 1}}},
				map[string]any{"name": "own", "image": fmt.Sprintf("registry.example/own-%d:1", i)},
			},
		}})
	}
	return chartOf(b, "large", objects, map[string]string{"Chart.yaml": "{apiVersion: v2, name: large, version: 1.0.0}"})
}
