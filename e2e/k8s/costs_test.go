package k8s

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

// verbs are the columns of the requests of helm: those of the audit log, and "other" for discovery and the like.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "other"}

// TestRequestsOfAJob prints what a whole job of the command costs the API server and its store (docs/scale.md): plan, status,
// apply, uninstall, with waiting. The SUT has a Deployment of two pods, a Service and a ConfigMap; its pods are gone 2 s after
// their deletion.
//
//	cd e2e && go test -count=1 -run TestRequestsOfAJob -v ./k8s
func TestRequestsOfAJob(t *testing.T) {
	w := printing(t)
	idle := w.idle()
	t.Logf("| helm | home | ready after | %s | all | of the cluster itself | changes in etcd | KB to etcd | CPU s of API server and etcd | CPU s of the job |",
		strings.Join(verbs, " | "))
	for _, helm := range []string{"helm3", "helm4"} {
		shared := t.TempDir()
		for i, test := range []struct{ home, ready string }{{"of its own", "3s"}, {"shared", "3s"}, {"shared", "63s"}} {
			jobs := &costlyJobs{world: w, T: t, helm: helm, namespace: fmt.Sprintf("%s-costs-%d", helm, i), ready: test.ready, home: func() string { return shared }}
			if test.home != "shared" {
				jobs.home = func() string { return filepath.Join(t.TempDir(), "home") }
			}
			each := jobs.run(5, idle)
			row, sum := []string{helm, test.home, test.ready}, 0.0
			for _, verb := range verbs {
				sum += each.byVerb[verb]
				row = append(row, fmt.Sprintf("%.0f", each.byVerb[verb]))
			}
			for _, figure := range []float64{sum, each.others, each.puts, each.written / 1000} {
				row = append(row, fmt.Sprintf("%.0f", figure))
			}
			row = append(row, fmt.Sprintf("%.2f", each.controlPlane.Seconds()), fmt.Sprintf("%.2f", each.job.Seconds()))
			t.Logf("| %s |", strings.Join(row, " | "))
		}
	}
}

// costlyJobs are jobs of one SUT each, in processes of their own.
type costlyJobs struct {
	*world
	*testing.T
	helm, namespace, ready string
	home                   func() string
}

// idle is the part of a core that the control plane takes without jobs.
func (w *world) idle() float64 {
	const long = 10 * time.Second
	before := w.cluster.CPUTime("kube-apiserver", "etcd")
	time.Sleep(long)
	return (w.cluster.CPUTime("kube-apiserver", "etcd") - before).Seconds() / long.Seconds()
}

// run runs some at once, after one that nobody counts, and gives what each of them cost.
func (j *costlyJobs) run(jobs int, idle float64) spent {
	j.Helper()
	j.allow(j.T, j.namespace, rights(role(j.T)))
	list := "namespace: " + j.namespace + "\ntimeout: 5m\nsuts:\n"
	for n := range jobs {
		list += fmt.Sprintf("- {name: n%d, chart: %s, values: {replicas: 2, readyAfter: %s, goneAfter: 2s}}\n", n, absolute(j.T, sut), j.ready)
	}
	var cpu atomic.Int64
	one := func(job string, index int) {
		file, home := filepath.Join(j.TempDir(), "jobs.yaml"), j.home()
		if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
			j.Error(err)
		}
		cmd := exec.CommandContext(j.ctx, j.command, "job", "run", file, "--job", job, fmt.Sprint("--index=", index),
			"--helm="+j.binaries[j.helm], "--kubeconfig="+j.runner, "--home="+filepath.Join(home, "helmexec"))
		cmd.Env = append(os.Environ(), "HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			j.Errorf("%v\n%s", err, out)
		}
		cpu.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
	}
	one("before", 0)
	cpu.Store(0)
	began := time.Now()
	before := j.spent(j.T, j.namespace)
	var all sync.WaitGroup
	for n := range jobs {
		all.Go(func() { one("j", n) })
	}
	all.Wait()
	each := j.spent(j.T, j.namespace).less(before)
	each.controlPlane -= time.Duration(float64(time.Since(began)) * idle)
	each.job = time.Duration(cpu.Load())
	return each.by(float64(jobs))
}

func (s spent) less(before spent) spent {
	for verb, n := range before.byVerb {
		s.byVerb[verb] -= n
	}
	s.others, s.puts, s.written = s.others-before.others, s.puts-before.puts, s.written-before.written
	s.controlPlane -= before.controlPlane
	return s
}

func (s spent) by(n float64) spent {
	for verb := range s.byVerb {
		s.byVerb[verb] /= n
	}
	s.others, s.puts, s.written = s.others/n, s.puts/n, s.written/n
	s.controlPlane, s.job = time.Duration(float64(s.controlPlane)/n), time.Duration(float64(s.job)/n)
	return s
}

// TestSweepOfManyReleases prints what the sweeper, and a look at one release, cost beside many releases that are not overdue (docs/scale.md).
//
//	cd e2e && go test -count=1 -run TestSweepOfManyReleases -v ./k8s
func TestSweepOfManyReleases(t *testing.T) {
	w := printing(t)
	const namespace, chart = "many", "../../testdata/charts/webapp"
	if err := w.cluster.CreateNamespace(w.ctx, namespace); err != nil {
		t.Fatal(err)
	}
	w.install(t, "helm4", namespace, chart, true)
	path := "/api/v1/namespaces/" + namespace + "/secrets"
	var record struct {
		Data     map[string]string `json:"data"`
		Type     string            `json:"type"`
		Metadata struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := w.cluster.Request(w.ctx, http.MethodGet, path+"/sh.helm.release.v1.web.v1", nil, &record); err != nil {
		t.Fatal(err)
	}
	t.Log("| command | helm | releases | seconds | CPU seconds | MiB of the largest process |")
	made := 1
	for _, releases := range []int{100, 1000, 5000} {
		for ; made < releases; made++ {
			name := fmt.Sprint("web-", made)
			record.Metadata.Name, record.Metadata.Labels["name"] = "sh.helm.release.v1."+name+".v1", name
			if err := w.cluster.Request(w.ctx, http.MethodPost, path, record, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, helm := range []string{"helm3", "helm4"} {
			for _, command := range [][]string{{"overdue"}, {"why", "web"}} {
				cmd := exec.CommandContext(w.ctx, w.command, append(command, "--helm="+w.binaries[helm], "--kubeconfig="+w.cluster.Kubeconfig,
					"--home="+filepath.Join(w.dir, helm), "--namespace="+namespace)...)
				began := time.Now()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				took, cpu := time.Since(began), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
				largest := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
				t.Logf("| %s | %s | %d | %.1f | %.1f | %d |", command[0], helm, releases, took.Seconds(), cpu.Seconds(), largest)
			}
		}
	}
}

// printing skips a test that only prints a table if nobody reads it.
func printing(t *testing.T) *world {
	t.Helper()
	if !testing.Verbose() {
		t.Skip("it prints a table: go test -v")
	}
	return withCluster(t)
}

// spent is what was spent so far.
type spent struct {
	byVerb        map[string]float64 // requests of the runner
	others        float64            // requests of the cluster itself about a namespace
	puts, written float64            // of etcd: changes, and bytes that it was sent
	controlPlane  time.Duration      // processor time of API server and etcd
	job           time.Duration      // the same of the jobs, with their helms
}

func (w *world) spent(t *testing.T, namespace string) spent {
	t.Helper()
	s := spent{byVerb: map[string]float64{}, controlPlane: w.cluster.CPUTime("kube-apiserver", "etcd")}
	requests, err := w.cluster.Requests()
	if err == nil {
		s.puts, err = w.cluster.EtcdMetric(w.ctx, "etcd_mvcc_put_total")
	}
	if err == nil {
		s.written, err = w.cluster.EtcdMetric(w.ctx, "etcd_network_client_grpc_received_bytes_total")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		switch {
		case r.User == runner && r.Resource != "" && slices.Contains(verbs, r.Verb):
			s.byVerb[r.Verb]++
		case r.User == runner:
			s.byVerb["other"]++
		case r.Namespace == namespace:
			s.others++
		}
	}
	return s
}

// TestRecordsOfCharts prints how many bytes etcd keeps for a release: for its record, installed plainly and by a plan, and for
// its objects, those among them that controllers make (docs/scale.md).
//
//	cd e2e && go test -count=1 -run TestRecordsOfCharts -v ./k8s
func TestRecordsOfCharts(t *testing.T) {
	w := printing(t)
	t.Log("| chart | helm | plain record | planned record | objects | bytes of the objects |")
	for _, chart := range []string{sut, "../../testdata/charts/webapp", "../../testdata/charts/stack", "../../testdata/charts/gpu-inference"} {
		for _, helm := range []string{"helm3", "helm4"} {
			var records []int
			var count, size int
			for _, planned := range []bool{false, true} {
				namespace := fmt.Sprintf("records-%s-%s-%v", helm, filepath.Base(chart), planned)
				if err := w.cluster.CreateNamespace(w.ctx, namespace); err != nil {
					t.Fatal(err)
				}
				var record int
				w.install(t, helm, namespace, chart, planned)
				record, count, size = w.stored(t, namespace)
				records = append(records, record)
			}
			t.Logf("| %s | %s | %d | %d | %d | %d |", filepath.Base(chart), helm, records[0], records[1], count, size)
		}
	}
}

// install installs a chart as the release web.
func (w *world) install(t *testing.T, helm, namespace, chart string, planned bool) {
	t.Helper()
	h, err := helmexec.New(helmexec.Config{
		Binary: w.binaries[helm], Home: filepath.Join(t.TempDir(), "home"), Kubeconfig: w.cluster.Kubeconfig, Namespace: namespace,
	})
	if err == nil && planned {
		var p *helmexec.Plan
		if p, err = h.Plan(w.ctx, "web", chart, helmexec.PlanOptions{}); err == nil {
			_, err = h.Apply(w.ctx, p, helmexec.ApplyOptions{OperationID: "job/1/0", JobID: "job", Wait: true})
		}
	} else if err == nil {
		_, err = h.Install(w.ctx, "web", chart, helmexec.InstallOptions{OperationID: "job/1/0", JobID: "job", Wait: true})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stored is what etcd keeps of a namespace: for helm's records, and for all else.
func (w *world) stored(t *testing.T, namespace string) (record, count, size int) {
	t.Helper()
	all, err := w.cluster.Everything(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if o.Namespace != namespace || o.Kind == "ServiceAccount" || o.Name == "kube-root-ca.crt" {
			continue
		}
		bytes, err := w.cluster.StoredSize(w.ctx, o)
		switch {
		case err != nil:
			t.Fatal(err)
		case strings.HasPrefix(o.Name, "sh.helm.release."):
			record += bytes
		default:
			count++
			size += bytes
		}
	}
	return record, count, size
}

// TestTrafficOfAJob prints what a job asks the source of its chart for, with a home of its own and with one that an earlier job
// has used (docs/scale.md). The repository has an index of 7 MB.
//
//	cd e2e && go test -count=1 -run TestTrafficOfAJob -v ./k8s
func TestTrafficOfAJob(t *testing.T) {
	w := printing(t)
	repo := chartrepo.New(chartrepo.Options{ETags: true})
	if err := repo.AddDir("../../testdata/charts/webapp"); err != nil {
		t.Fatal(err)
	}
	repo.AddGenerated(400, 30)
	charts := counting(t, repo)
	addresses := map[string]string{"repository": charts.URL + "/charts/webapp"}
	counters := map[string]*counter{"repository": charts}
	if path, err := tools.Path("registry"); err != nil {
		t.Log("without a registry: ", err)
	} else if path != "" {
		r, err := registry.Start(w.ctx, registry.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Stop()
		counters["registry"] = counting(t, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address}))
		addresses["registry"] = strings.Replace(counters["registry"].URL, "http://", "oci://", 1) + "/charts/webapp"
		packed, err := chartrepo.PackageDir("../../testdata/charts/webapp", "")
		if err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(t.TempDir(), packed.Filename())
		if err := os.WriteFile(archive, packed.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		push := exec.CommandContext(w.ctx, w.binaries["helm4"], "push", "--plain-http", archive, "oci://"+r.Address+"/charts")
		push.Env = []string{"HOME=" + t.TempDir()}
		if out, err := push.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	t.Log("| source | home | version | requests | bytes |")
	for _, source := range slices.Sorted(maps.Keys(addresses)) {
		shared := filepath.Join(t.TempDir(), "home")
		for _, job := range []struct{ home, version string }{
			{"of its own", ""}, {"of its own", "0.3.1"}, {"shared", ""}, {"shared", ""}, {"shared", ""}, {"shared", "0.3.1"}, {"shared", "0.3.1"},
		} {
			home := shared
			if job.home != "shared" {
				home = filepath.Join(t.TempDir(), "home")
			}
			h, err := helmexec.New(helmexec.Config{Binary: w.binaries["helm4"], Home: home})
			if err != nil {
				t.Fatal(err)
			}
			counter := counters[source]
			counter.requests.Store(0)
			counter.bytes.Store(0)
			opts := helmexec.ChartOptions{Version: job.version, Source: helmexec.SourceOptions{PlainHTTP: source == "registry"}}
			if _, err := h.Fetch(w.ctx, addresses[source], opts); err != nil {
				t.Fatal(err)
			}
			t.Logf("| %s | %s | %s | %d | %d |", source, job.home, cmp.Or(job.version, "the newest"), counter.requests.Load(), counter.bytes.Load())
		}
	}
}

// counter is a server that counts what it answers.
type counter struct {
	*httptest.Server
	requests, bytes atomic.Int64
}

func counting(t *testing.T, handler http.Handler) *counter {
	c := &counter{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		handler.ServeHTTP(countingWriter{w, &c.bytes}, r)
	}))
	t.Cleanup(c.Close)
	return c
}

type countingWriter struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

func (w countingWriter) Write(text []byte) (int, error) {
	n, err := w.ResponseWriter.Write(text)
	w.bytes.Add(int64(n))
	return n, err
}
