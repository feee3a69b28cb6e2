package helmtext

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLintMessages(t *testing.T) {
	// As Helm 3.22 and 4.3 print it.
	const out = `==> Linting ./web
[INFO] Chart.yaml: icon is recommended
[ERROR] templates/: template: web/templates/x.yaml:1:9: executing "web/templates/x.yaml" at <.Values.a.b>: nil pointer
  evaluating interface {}.b
[WARNING] templates/x.yaml: object name does not conform: "X"

Error: 1 chart(s) linted, 1 chart(s) failed
`
	want := []LintMessage{
		{"INFO", "Chart.yaml", "icon is recommended"},
		{"ERROR", "templates/", "template: web/templates/x.yaml:1:9: executing \"web/templates/x.yaml\" at <.Values.a.b>: nil pointer\n  evaluating interface {}.b"},
		{"WARNING", "templates/x.yaml", `object name does not conform: "X"`},
	}
	if got := LintMessages(out); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := LintMessages(""); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestVersion(t *testing.T) {
	for out, want := range map[string]string{
		"v3.22.0+g1234567\n":           "v3.22.0+g1234567",
		"WARNING: x\nv4.3.1\n":         "v4.3.1",
		"Client: v2.17.0+ga690bad\n":   "v2.17.0+ga690bad",
		"Error: unknown command \"x\"": "",
	} {
		if got := Version(out); got != want {
			t.Errorf("Version(%q) = %q, want %q", out, got, want)
		}
	}
}

func TestPushedDigest(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	if got := PushedDigest("Pushed: h/web:1.0.0\nDigest: " + digest + "\n"); got != digest {
		t.Errorf("got %q", got)
	}
}

func TestLocalFault(t *testing.T) {
	for stderr, want := range map[string]bool{
		"Error: write /tmp/web.tgz: no space left on device":   true,
		"Error: open /home/web.tgz: permission denied":         true,
		"Error: failed to fetch https://h/web.tgz : 404":       false,
		"Error: looks like \"https://h\" is not a valid chart": false,
	} {
		if got := LocalFault(stderr); got != want {
			t.Errorf("LocalFault(%q) = %t", stderr, got)
		}
	}
}

func TestVerified(t *testing.T) {
	const fingerprint = "BAF45E858920EB18970FF0C5FEBB1A74AE13DB07"
	digest := "sha256:" + strings.Repeat("0a", 32)
	end := "Using Key With Fingerprint: " + fingerprint + "\nChart Hash Verified: " + digest
	for out, want := range map[string][3]string{
		"Signed by: Ann <ann@charts.example>\n" + end + "\n":     {fingerprint, "Ann <ann@charts.example>", digest},
		strings.ReplaceAll("Signed by: Ann\n"+end, "\n", "\r\n"): {fingerprint, "Ann", digest},
		end: {fingerprint, "", digest},
		"Signed by: Using Key With Fingerprint: 0\nSigned by: Bob\n" + end: {fingerprint, "Using Key With Fingerprint: 0", digest},
		end + "\nSigned by: Eve\n":               {},
		"Chart Hash Verified: " + digest:         {},
		strings.Replace(end, "sha256", "md5", 1): {},
		"":                                       {},
	} {
		var got [3]string
		if got[0], got[1], got[2] = Verified(out); got != want {
			t.Errorf("%q: got %q, want %q", out, got, want)
		}
	}
}

func TestTestLogs(t *testing.T) {
	tests := []string{"a", "b.c"}
	const status = "NAME: web\nTEST SUITE: a\n\n"
	for name, test := range map[string]struct {
		out  string
		want map[string]map[string]string
	}{
		"Helm 3":           {status + "POD LOGS: a\none\ntwo\n\nPOD LOGS: b.c\n\n", map[string]map[string]string{"a": {"": "one\ntwo\n"}, "b.c": {"": ""}}},
		"Helm 4":           {status + "POD LOGS: a (main)\none\nPOD LOGS: a (side)\n2\n", map[string]map[string]string{"a": {"main": "one", "side": "2"}}},
		"only the end":     {"POD LOGS: a\n0123456789\n\n", map[string]map[string]string{"a": {"": "23456789\n"}}},
		"of another":       {"POD LOGS: a\nPOD LOGS: x\n\n", map[string]map[string]string{"a": {"": "S: x\n"}}},
		"in a line":        {"x POD LOGS: a\ny\n", map[string]map[string]string{}},
		"none":             {status, map[string]map[string]string{}},
		"again":            {"POD LOGS: a\n1\nPOD LOGS: a\n2\n\n", map[string]map[string]string{"a": {"": "OGS: a\n2\n"}}},
		"odd titles":       {"POD LOGS: a\r\nPOD LOGS: a (M)\nPOD LOGS: a m\nPOD LOGS: a ()\nPOD LOGS: a (m\n9\n", map[string]map[string]string{"a": {"": "S: a (m\n9"}}},
		"cut in its title": {"POD LOGS: a", map[string]map[string]string{}},
	} {
		most := 9
		if name == "of another" {
			most = 5
		}
		if got := TestLogs([]byte(test.out), tests, most); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// A log can consist of nothing but lines that look like the beginning of a log.
func TestLogsWithManyTitles(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("POD LOGS: a (main)\n")
	for i := range 100_000 {
		fmt.Fprintf(&out, "POD LOGS: a (m%d)\nPOD LOGS: x\n", i)
	}
	logs := map[string]map[string]string{}
	allocated := testing.AllocsPerRun(1, func() { logs = TestLogs(out.Bytes(), []string{"a"}, 1<<20) })
	if n := len(logs["a"]); n != maxTestContainers || allocated > 10*maxTestContainers {
		t.Errorf("got %d logs with %v allocations", n, allocated)
	}
}

func TestUnsigned(t *testing.T) {
	for said, want := range map[string]string{
		"Pulled: x\nWARNING: Verification not found for oci://h:1/web: no layer\n":                  "no layer",
		"WARNING: Verification not found for u/web: failed to fetch http://h/web.prov : 404 No\r\n": "failed to fetch http://h/web.prov : 404 No",
		"Verification not found for u/web: x":                                                       "",
		"":                                                                                          "",
	} {
		if got := Unsigned(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

// What real Helms say, in testdata/stdout/<version>.
func TestUnsignedOfRecordings(t *testing.T) {
	for scene, want := range map[string]string{
		"pull-unsigned": "failed to fetch http://127.0.0.1:8080/repo/web-1.0.0.tgz.prov : 404 Not Found",
		"oci-unsigned":  "manifest does not contain a layer with mediatype application/vnd.cncf.helm.chart.provenance.v1.prov",
	} {
		files, err := filepath.Glob("testdata/stdout/*/" + scene + ".txt")
		if err != nil || len(files) != 2 {
			t.Errorf("%s: %q, %v", scene, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if got := Unsigned(string(text)); err != nil || got != want {
				t.Errorf("%s: got %q, %v", file, got, err)
			}
		}
	}
}

func TestPulledDigest(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for said, want := range map[string]string{
		"Pulled: h:1/web:1.0.0\nDigest: " + digest + "\n":  digest,
		"level=WARN msg=x\nDigest: " + digest + "\r\nmore": digest,
		"Digest: " + digest: digest,
		"Digest: " + digest + "\nPulled: h:1/web:1.0.0\nDigest: " + digest:   digest, // with a provenance
		"Digest: " + digest + "\nDigest: sha256:" + strings.Repeat("0b", 32): "",
		"Pulled: Digest: " + digest:                                          "",
		"Digest: " + digest + "0":                                            "",
		"Digest: sha256:" + strings.Repeat("z", 64):                          "",
		"": "",
	} {
		if got := PulledDigest(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

func TestCRDsIn(t *testing.T) {
	const (
		a, b     = "a: 1\n", "---\n# Source: x/templates/b.yaml\nb: 1\n---\n# Source: x/crds/c.yaml\nc: 1"
		template = "---\n# Source: x/templates/t.yaml\nt: 1\n---\n# Source: x/crds/late.yaml\na: 1\n"
	)
	printed := func(path, text string) string { return "---\n# Source: " + path + "\n" + text + "\n" }
	for _, test := range []struct {
		name, out string
		files     []string
		refused   string // what the error says
	}{
		{name: "none", out: template, files: []string{a}},
		{name: "one", out: printed("x/crds/a.yaml", a) + template, files: []string{b, a}},
		{name: "a subchart's, and one that is switched off", out: printed("x/charts/y/charts/z/crds/a.yaml", a) + template, files: []string{a, "c: 1\n"}},
		{name: "lines as helm writes them", out: printed("x/crds/a.yaml", a) + printed("x/crds/b.yaml", b) + template, files: []string{a, b}},
		{name: "such lines, at the end of all", out: printed("x/crds/b.yaml", b), files: []string{a, b}},
		{name: "the same file twice", out: printed("x/crds/a.yaml", a) + printed("x/charts/y/crds/a.yaml", a) + template, files: []string{a, a}},
		{name: "an empty one", out: printed("x/crds/a.yaml", "") + template, files: []string{a, b, ""}},
		{name: "spaces that helm omits at the end", out: printed("x/crds/a.yaml", "a: 1"), files: []string{a + "\n\n"}},
		{
			name: "one that begins with another", out: printed("x/crds/a.yaml", a) + template, files: []string{a, a + "\n" + template + "more"},
		},
		{
			name: "one that goes on as helm does after another", out: printed("x/crds/a.yaml", a) + template,
			files: []string{a, a + "\n---\n# Source: x/templates/t.yaml\nt: 1"}, refused: "one file begins with another",
		},
		{name: "one that the chart does not have", out: printed("x/crds/a.yaml", a) + template, files: []string{b}, refused: "helm has printed x/crds/a.yaml"},
	} {
		var files [][]byte
		for _, file := range test.files {
			files = append(files, []byte(file))
		}
		got, err := CRDsIn([]byte(test.out), files)
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: error %v, want %q", test.name, err, test.refused)
			}
			continue
		}
		if want := strings.TrimSuffix(test.out, template); err != nil || string(got) != want && string(got) != want+"\n" {
			t.Errorf("%s: error %v, got %q, want %q", test.name, err, got, want)
		}
	}
}
