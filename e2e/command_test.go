package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// command is the built command, made once.
var command = sync.OnceValues(func() (string, error) {
	path := filepath.Join(shared.dir, "helmexec")
	build := exec.CommandContext(shared.ctx, "go", "build", "-buildvcs=false", "-o", path, "./cmd/helmexec")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// helmexec runs the command, and gives its exit code and what it printed.
func (b *bed) helmexec(args ...string) (code int, stdout, stderr string) {
	b.Helper()
	path, err := command()
	b.must(err)
	flags := []string{"--helm=" + b.cfg.Binary, "--home=" + b.cfg.Home, "--kubeconfig=" + b.cfg.Kubeconfig, "--namespace=" + b.namespace}
	if args[0] == "__complete" {
		args, flags = args[1:], append([]string{"__complete"}, flags...)
	}
	cmd := exec.CommandContext(b.ctx, path, append(flags, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("fromStdin: {a: 1}\nlist: [x, y]\n"), &out, &errs
	err = cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		b.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// succeeds runs the command, which must exit 0, and reads what it printed as JSON.
func (b *bed) succeeds(into any, args ...string) {
	b.Helper()
	code, stdout, stderr := b.helmexec(append(args, "--output=json")...)
	if code != 0 {
		b.Fatalf("helmexec %q: exit %d\n%s", args, code, stderr)
	}
	b.must(json.Unmarshal([]byte(stdout), into))
}

// commandValues: what the templates of a chart get by the command's flags is what they get by the same flags of helm.
func commandValues(b *bed) {
	dir := b.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		b.must(os.MkdirAll(filepath.Dir(path), 0o700))
		b.must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
	write("web/values.yaml", "a: 1\nmap: {kept: x, gone: y}\nlist: [1, 2]\ntext: t\n")
	write("web/templates/all.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: all}\ndata:\n  all: {{ toJson .Values | quote }}\n")
	chart := filepath.Join(dir, "web")
	over := write("over.yaml", "map: {gone: null, more: {deep: true}}\nobjects: [{n: 1}, {n: 2}]\nnothing: null\n")
	later := write("later.yaml", "text: later\nmap: {more: {deeper: 2}}\nlist: []\n")
	file := write("content, of.txt", "line 1\nline 2, {x}\n")
	for _, flags := range [][]string{
		{},
		{"-f", over}, {"-f", over, "-f", later}, {"-f", over + "," + later}, {"-f", "-"}, {"-f", over, "-f", "-", "-f", later},
		{"--set", "a=2"}, {"--set", "a=2,b=x,c=true,d=null,e=0,f=007,g=-5,h=1.5,i=,j=FALSE"}, {"--set", "a=2,"}, {"--set", ""},
		{"--set", "map.gone=null"}, {"--set", "map=null"}, {"--set", "map.kept.x=1"}, {"--set", "text.x=1"}, {"--set", "text[0]=1"},
		{"--set", "list[0]=9"}, {"--set", "list[3]=9"}, {"--set", "list={a,b,3}"}, {"--set", "list={}"}, {"--set", "list={a"}, {"--set", "new[1].x=1,new[1].y=2"},
		{"--set", "new[0][1]=x,new[0][0]=y"}, {"--set", "new[-1]=x"}, {"--set", "new[x]=1"}, {"--set", "new[0]x=1"}, {"--set", "a"}, {"--set", "a,b=1"},
		{"--set", `x\.y=1,z=a\,b,w=\{q\},v=a\\b`}, {"--set", "a=b=c"}, {"--set", " spaced = value "}, {"--set", `q="quoted"`}, {"--set", "l={a,b}c=d"},
		{"-f", over, "--set", "objects[1].n=5,objects[1].m=6,objects[2].n=7"}, {"-f", over, "--set", "nothing.x=1"}, {"-f", over, "--set", "objects[0][0]=1"},
		{"-f", "-", "--set", "list[1]=z,fromStdin.b=2"},
		{"--set-string", "a=2,b=true,c=null,d={1,2},e="}, {"--set", "a=2", "--set-string", "a=3"}, {"--set-string", "a=3", "--set", "a=2"},
		{"--set-file", "f=" + strings.ReplaceAll(file, ",", `\,`)}, {"--set-file", "f=" + filepath.Join(dir, "missing")}, {"--set-file", "f="},
		{"--set", "a=1", "--set", "a=2,b=1", "--set", "b=2"}, {"--set", "a.b.c.d.e=1"}, {"--set", "unicode=百度,ümlaut.ä=ö"},
		{"--set", "n=999999,m=-999999"},
	} {
		args := append([]string{"template", "release-name", chart}, flags...)
		helm := exec.CommandContext(b.ctx, b.cfg.Binary, args...)
		helm.Env = []string{"HOME=" + dir}
		helm.Stdin = strings.NewReader("fromStdin: {a: 1}\nlist: [x, y]\n")
		text, err := helm.Output()
		rendered := filepath.Join(dir, "rendered.yaml")
		code, _, stderr := b.helmexec(append([]string{"retag", chart, "--mirror", "*=unused.example", "--manifest", rendered}, flags...)...)
		if err != nil {
			want := 2
			if strings.HasSuffix(flags[len(flags)-1], "missing") {
				want = 4 // what is named is not there
			}
			if code != want {
				b.Errorf("%q: helm refuses it, the command exits %d, want %d", flags, code, want)
			}
			continue
		}
		if code != 0 {
			b.Errorf("%q: exit %d: %s", flags, code, stderr)
			continue
		}
		got, err := os.ReadFile(rendered)
		b.must(err)
		want, have := b.allValues(text), b.allValues(got)
		if !reflect.DeepEqual(want, have) {
			b.Errorf("%q: helm's templates get\n%v\nthe command's\n%v", flags, want, have)
		}
	}
	// The one difference that is documented.
	text, err := exec.CommandContext(b.ctx, b.cfg.Binary, "template", "release-name", chart, "--set", "n=1000000").Output()
	b.must(err)
	rendered := filepath.Join(dir, "rendered.yaml")
	code, _, stderr := b.helmexec("retag", chart, "--mirror", "*=unused.example", "--manifest", rendered, "--set", "n=1000000")
	got, readErr := os.ReadFile(rendered)
	b.must(readErr)
	if code != 0 || !strings.Contains(stderr, "--set-string is exact") || !reflect.DeepEqual(b.allValues(text)["n"], b.allValues(got)["n"]) {
		b.Errorf("a large number: exit %d, %s", code, stderr)
	}
}

// allValues are the values that the chart of commandValues printed.
func (b *bed) allValues(rendered []byte) map[string]any {
	b.Helper()
	objects, err := helmexec.Manifest(rendered).Objects()
	b.must(err)
	var values map[string]any
	b.must(json.Unmarshal([]byte(objects[0]["data"].(map[string]any)["all"].(string)), &values))
	return values
}

// commandLooks: what needs no cluster, with every form of address.
func commandLooks(b *bed) {
	addresses := b.sutAddresses()
	for form, address := range addresses {
		var info struct {
			Name, Version string
			Values        map[string]any
		}
		b.succeeds(&info, "info", address, "--plain-http")
		var values struct{ Greeting string }
		b.succeeds(&values, "values", address, "--plain-http", "--set", "greeting=good day")
		var images struct {
			Images []string
			Uses   []struct{ Object struct{ Kind string } }
		}
		b.succeeds(&images, "images", address, "--plain-http")
		var gpus struct{ Totals map[string]int64 }
		b.succeeds(&gpus, "gpus", address, "--plain-http", "--set", "gpus=2,replicas=3")
		if info.Name != "sut" || info.Version != "0.1.0" || values.Greeting != "good day" || fmt.Sprint(images.Images) != "[nginx:1.27]" ||
			len(images.Uses) == 0 || images.Uses[0].Object.Kind != "Deployment" || gpus.Totals["nvidia.com/gpu"] != 6 {
			b.Errorf("%s: %+v %+v %+v %+v", form, info, values, images, gpus)
		}
	}
	var failure struct{ Error struct{ Kind string } }
	code, stdout, _ := b.helmexec("images", b.oci+"/nosuch", "--plain-http", "-o", "json")
	b.must(json.Unmarshal([]byte(stdout), &failure))
	if code != 4 || failure.Error.Kind != "chart-not-found" {
		b.Errorf("a chart that is not there: exit %d\n%s", code, stdout)
	}
	for _, args := range [][]string{{"__complete", "images", "--plain-http", b.oci + "/sut", "--version", ""}, {"__complete", "images", b.oci + "/sut", "--plain-http", "--version="}} {
		if code, stdout, stderr := b.helmexec(args...); code != 0 || !strings.HasPrefix(stdout, "0.1.0") && !strings.Contains(stdout, "\n0.1.0") {
			b.Errorf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// commandLife: what people do with a SUT, from the plan to the clean-up.
func commandLife(b *bed) {
	var planned struct {
		Digest string
		Images struct{ Images []string }
	}
	plan := filepath.Join(b.TempDir(), "plan.json")
	b.succeeds(&planned, "plan", "job-42-sut-web", sutChart, "--set", "replicas=2", "--save", plan)
	if len(planned.Images.Images) != 1 || planned.Images.Images[0] != "nginx:1.27" {
		b.Errorf("images: %v", planned.Images.Images)
	}
	if code, stdout, _ := b.helmexec("check", "--from", plan, "--registry", "registry.example"); code != 3 || !strings.Contains(stdout, "nginx:1.27") {
		b.Errorf("check: exit %d\n%s", code, stdout)
	}
	if code, _, stderr := b.helmexec("apply", plan, "--digest", "sha256:"+strings.Repeat("0", 64)); code != 12 {
		b.Errorf("apply of another digest: exit %d\n%s", code, stderr)
	}
	var applied struct {
		Status   string
		Revision int
	}
	b.succeeds(&applied, "apply", plan, "--digest", planned.Digest, "--wait", "--timeout", patient.String(), "--job", "42", "--deadline", "1ms")
	if applied.Status != "deployed" || applied.Revision != 1 {
		b.Errorf("applied: %+v", applied)
	}
	var why struct {
		Release      struct{ Job, Updated, Deadline string }
		Ready, Total int
		Blockers     []struct{ Reason string }
	}
	b.succeeds(&why, "why", "job-42-sut-web")
	if why.Ready != 2 || why.Total != 2 || len(why.Blockers) != 0 || why.Release.Job != "42" || why.Release.Deadline == "" || why.Release.Deadline > why.Release.Updated {
		b.Errorf("why: %+v", why)
	}
	if code, stdout, stderr := b.helmexec("diff", "job-42-sut-web", sutChart, "--set", "replicas=3", "--full", "--exit-code"); code != 3 || !strings.Contains(stdout, "+   replicas: 3") {
		b.Errorf("diff: exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := b.helmexec("diff", "job-42-sut-web", sutChart, "--reuse-values", "--exit-code"); code != 0 {
		b.Errorf("diff of the same: exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := b.helmexec("doctor"); code != 0 {
		b.Errorf("doctor: exit %d\n%s", code, stdout)
	}
	var cleaned struct {
		Overdue []struct{ Name string }
		Removed []struct{ Release struct{ Name string } }
	}
	for len(cleaned.Overdue) != 1 { // a deadline is of whole seconds
		b.succeeds(&cleaned, "overdue")
	}
	b.succeeds(&cleaned, "job", "clean", "42", "--wait")
	if len(cleaned.Removed) != 1 {
		b.Errorf("cleaned: %+v", cleaned)
	}
	b.succeeds(&applied, "install", "late", sutChart, "--deadline", "1ms", "--job", "43", "--wait", "--timeout", patient.String(), "--fail-fast")
	for cleaned.Overdue = nil; len(cleaned.Overdue) != 1; {
		b.succeeds(&cleaned, "overdue")
	}
	b.succeeds(&cleaned, "overdue", "--remove", "--wait")
	if len(cleaned.Removed) != 1 || cleaned.Removed[0].Release.Name != "late" {
		b.Errorf("overdue --remove: %+v", cleaned)
	}
	var listed struct{ Releases []any }
	b.succeeds(&listed, "list")
	if len(listed.Releases) != 0 {
		b.Errorf("left: %+v", listed)
	}
}

// commandWhy: a release that does not get ready is explained, and an interrupt removes it.
func commandWhy(b *bed) {
	path, err := command()
	b.must(err)
	cmd := exec.CommandContext(b.ctx, path, "install", "web", sutChart, "--wait", "--timeout", patient.String(), "--interval", "500ms",
		"--set-string", "fault="+cluster.FaultImagePull, "--helm="+b.cfg.Binary, "--home="+b.cfg.Home, "--kubeconfig="+b.cfg.Kubeconfig, "--namespace="+b.namespace)
	heard := make(chan struct{})
	errs := &hearing{want: "0 of 1 pods ready; Pod ", heard: heard}
	cmd.Stderr = errs
	b.must(cmd.Start())
	select {
	case <-heard:
	case <-b.ctx.Done():
		b.Fatal(errs.text())
	}
	var why struct {
		Blockers []struct{ Reason, Message string }
	}
	b.succeeds(&why, "why", "web")
	if len(why.Blockers) == 0 || !strings.Contains(why.Blockers[0].Reason, "Image") && !strings.Contains(why.Blockers[0].Reason, "Pull") {
		b.Errorf("why: %+v", why)
	}
	b.must(cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		b.Errorf("exit %d\n%s", code, errs.text())
	}
	if _, err := b.h.Status(b.ctx, "web", helmexec.StatusOptions{}); !errors.Is(err, helmexec.ErrReleaseNotFound) {
		b.Errorf("after the interrupt: %v", err)
	}
}

// commandJob: a job of two SUTs, of which one does not get ready.
func commandJob(b *bed) {
	chart, err := filepath.Abs(sutChart)
	b.must(err)
	jobs := filepath.Join(b.TempDir(), "jobs.yaml")
	b.must(os.WriteFile(jobs, []byte("job: '7'\ntimeout: 2m\nfailFast: true\npolicy: {nodes: [{nvidia.com/gpu: 8}]}\nbenchmark: [sh, -c, 'echo measured $HELMEXEC_SUT']\n"+
		"suts:\n- {name: good, chart: "+chart+"}\n- {name: bad, chart: "+chart+", values: {fault: "+cluster.FaultImagePull+"}}\n"), 0o600))
	code, stdout, stderr := b.helmexec("job", "run", jobs, "-o", "json")
	var result struct {
		SUTs []struct {
			State string
			Error struct{ Kind string }
		}
	}
	b.must(json.Unmarshal([]byte(stdout), &result))
	if code != 14 || result.SUTs[0].State != "done" || result.SUTs[1].State != "failed" || result.SUTs[1].Error.Kind != "not-ready" {
		b.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	releases, err := b.h.List(b.ctx, helmexec.ListOptions{})
	b.must(err)
	if len(releases) != 0 || !strings.Contains(stderr, "measured good") {
		b.Errorf("left: %v\n%s", releases, stderr)
	}
}

// commandNodes: check holds a chart against what the nodes of the cluster have free.
func commandNodes(b *bed) {
	gpu := "habana.ai/" + b.helm // of no other test
	for _, name := range []string{"one", "two"} {
		b.node(name, "{taints: [{key: helmexec/test, effect: NoSchedule}]}", gpu+`: "2"`)
	}
	chart := filepath.Join(b.TempDir(), "trains")
	b.must(os.MkdirAll(filepath.Join(chart, "templates"), 0o700))
	b.must(errors.Join(
		os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: trains\nversion: 1.0.0\n"), 0o600),
		os.WriteFile(filepath.Join(chart, "templates", "trains.yaml"), []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: trains}\nspec:\n  replicas: 2\n"+
			"  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: example/trains:1, resources: {limits: {"+gpu+": 2}}}]}\n"), 0o600)))

	var checked struct {
		Allowed  bool
		Findings []struct{ Text string }
		Misfits  []struct{ Unplaced int }
		Nodes    []map[string]int64
	}
	b.succeeds(&checked, "check", chart, "--nodes-from-cluster")
	if !checked.Allowed || len(checked.Nodes) < 3 {
		b.Errorf("checked: %+v", checked)
	}
	b.must(b.cluster.Request(b.ctx, http.MethodPost, "/api/v1/namespaces/"+b.namespace+"/pods", "metadata: {name: holds}\n"+
		"spec: {nodeName: "+b.namespace+"-one, containers: [{name: c, image: example/x, resources: {limits: {"+gpu+": 1}}}]}\n", nil))
	code, stdout, stderr := b.helmexec("check", chart, "--nodes-from-cluster", "-o", "json")
	b.must(json.Unmarshal([]byte(stdout), &checked))
	if code != 3 || checked.Allowed || len(checked.Misfits) != 1 || checked.Misfits[0].Unplaced != 1 {
		b.Errorf("one of two nodes is full: exit %d\n%s%s", code, stdout, stderr)
	}

	kubeconfig, err := b.cluster.KubeconfigAs("system:serviceaccount:" + b.namespace + ":default")
	b.must(err)
	if code, _, stderr := b.helmexec("check", chart, "--nodes-from-cluster", "--kubeconfig", kubeconfig); code != 10 || !strings.Contains(stderr, "the right to list nodes") {
		b.Errorf("without the right to list nodes: exit %d\n%s", code, stderr)
	}
}

// hearing is a writer that says when a text came.
type hearing struct {
	want  string
	heard chan struct{}

	mu  sync.Mutex
	all bytes.Buffer
}

func (h *hearing) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := strings.Contains(h.all.String(), h.want)
	h.all.Write(text)
	if !before && strings.Contains(h.all.String(), h.want) {
		close(h.heard)
	}
	return len(text), nil
}

func (h *hearing) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.String()
}
