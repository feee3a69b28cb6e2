package k8s

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// Each object is accepted as it is, and the pods of the Job and of the CronJob pass the admission of their namespace.
func TestManifests(t *testing.T) {
	w := withCluster(t)
	for _, file := range []string{"namespaces.yaml", "rights.yaml", "job.yaml", "sweeper.yaml"} {
		for _, object := range objects(file) {
			if err := w.cluster.Apply(w.ctx, object, true); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if err := w.cluster.Apply(w.ctx, []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: x, label: {a: b}}\n"), true); err == nil {
		t.Error("an unknown field is accepted")
	}
}

// pod is what the Job's controller makes, as the kubelet reads it.
type pod struct {
	Metadata struct {
		Name              string
		Labels            map[string]string
		Annotations       map[string]string
		DeletionTimestamp string
	}
	Spec struct {
		ServiceAccountName string
		Volumes            []struct {
			Name      string
			ConfigMap *struct{ Name string }
			EmptyDir  *struct{}
			Projected *struct{}
		}
		Containers []struct {
			Image         string
			Command, Args []string
			Env           []struct {
				Name, Value string
				ValueFrom   struct{ FieldRef struct{ FieldPath string } }
			}
			VolumeMounts []struct{ Name, MountPath string }
		}
	}
}

// pods are those of a Job.
func (w *world) pods(ctx context.Context, job string) ([]pod, error) {
	var list struct{ Items []pod }
	err := w.cluster.Request(ctx, http.MethodGet, "/api/v1/namespaces/fleet/pods?labelSelector=batch.kubernetes.io/job-name="+job, nil, &list)
	return list.Items, err
}

// await gives the pods of a Job when they are there.
func (w *world) await(t *testing.T, job string, want int) (pods []pod) {
	t.Helper()
	err := cluster.Eventually(w.ctx, func(ctx context.Context) (err error) {
		if pods, err = w.pods(ctx, job); err == nil && len(pods) < want {
			err = fmt.Errorf("%d pods, want %d", len(pods), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// image is the built image, and a container of it.
type image struct {
	t         *testing.T
	w         *world
	buildah   func(args ...string) *exec.Cmd
	container string
}

func (w *world) image(t *testing.T, helm string) *image {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("the image is not built: ", err)
	}
	if os.Getuid() != 0 {
		t.Skip("the image is not built: buildah needs root here to run it")
	}
	dir := t.TempDir()
	storage := filepath.Join(dir, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "images"), filepath.Join(dir, "run"))
	if err := os.WriteFile(storage, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "CONTAINERS_STORAGE_CONF="+storage)
	i := &image{t: t, w: w, buildah: func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(w.ctx, "buildah", args...)
		cmd.Env = env
		return cmd
	}}
	build := exec.CommandContext(w.ctx, manifests+"/image.sh", w.binaries[helm], "helmexec")
	build.Env = env
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := i.buildah("from", "helmexec").Output()
	if err != nil {
		t.Fatal(err)
	}
	i.container = strings.TrimSpace(string(out))
	return i
}

// kubelet makes a command that runs the container of a pod as a kubelet does: with its arguments, variables and volumes, and
// the token of its ServiceAccount. dir is for the folders of its volumes.
func (i *image) kubelet(p pod, dir string) *exec.Cmd {
	i.t.Helper()
	must := func(err error) {
		i.t.Helper()
		if err != nil {
			i.t.Fatal(err)
		}
	}
	api, err := url.Parse(i.w.cluster.URL)
	must(err)
	args := []string{"run", "--isolation=chroot", "--env=KUBERNETES_SERVICE_HOST=" + api.Hostname(), "--env=KUBERNETES_SERVICE_PORT=" + api.Port()}
	c := p.Spec.Containers[0]
	var expand []string
	for _, env := range c.Env {
		value := env.Value
		if path := env.ValueFrom.FieldRef.FieldPath; path != "" {
			from, key, _ := strings.Cut(strings.TrimPrefix(path, "metadata."), "[")
			value = map[string]map[string]string{"labels": p.Metadata.Labels, "annotations": p.Metadata.Annotations}[from][strings.Trim(key, "']")]
		}
		expand = append(expand, "$("+env.Name+")", value)
		args = append(args, "--env="+env.Name+"="+value)
	}
	for _, v := range p.Spec.Volumes {
		source, files := filepath.Join(dir, v.Name), map[string]string{}
		switch {
		case v.EmptyDir != nil:
		case v.ConfigMap != nil:
			var config struct{ Data map[string]string }
			must(i.w.cluster.Request(i.w.ctx, http.MethodGet, "/api/v1/namespaces/fleet/configmaps/"+v.ConfigMap.Name, nil, &config))
			files = config.Data
		case v.Projected != nil:
			token, err := i.w.cluster.Token(i.w.ctx, "fleet", p.Spec.ServiceAccountName)
			must(err)
			files = map[string]string{"token": token, "ca.crt": string(i.w.cluster.Authority()), "namespace": "fleet"}
		default:
			i.t.Fatalf("the kubelet of this test does not know the volume %s", v.Name)
		}
		must(os.MkdirAll(source, 0o777))
		must(os.Chmod(source, 0o777))
		for name, text := range files {
			must(os.WriteFile(filepath.Join(source, name), []byte(text), 0o644))
		}
		for _, mount := range c.VolumeMounts {
			if mount.Name != v.Name {
				continue
			}
			if source += ":" + mount.MountPath; v.EmptyDir == nil {
				source += ":ro"
			}
			args = append(args, "--volume="+source)
		}
	}
	args = append(args, i.container, "--", "/bin/helmexec")
	for _, arg := range c.Args {
		args = append(args, strings.NewReplacer(expand...).Replace(arg))
	}
	return i.buildah(args...)
}

// ends runs a container to its end, and reads what it printed as JSON.
func (i *image) ends(cmd *exec.Cmd, into any) (code int, stderr string) {
	i.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		i.t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		i.t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

// killed runs a container until it says something, and then kills all of it.
func (i *image) killed(cmd *exec.Cmd, says string) {
	i.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	errs, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		i.t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(errs); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), says) {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
			return
		}
	}
	i.t.Fatalf("%v, without %q:\n%s", cmd.Wait(), says, said.String())
}

// The Job and the sweeper as they are, but for the list of SUTs: each pod that their controllers make runs the image with the
// token of the ServiceAccount.
func TestImage(t *testing.T) {
	w := withCluster(t)
	i := w.image(t, "helm4")
	sutChart := w.serve(t) + "/sut:0.1.0"
	measure := filepath.Join(t.TempDir(), "measure")
	build := exec.CommandContext(w.ctx, "go", "build", "-o", measure, "./testdata/measure")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// emptied has the volumes of a new pod. As on a node they are of another file system than the image: a home is private
	// below the top of a volume, to which everybody may write.
	emptied := func(ready bool) string {
		dir, err := os.MkdirTemp("/dev/shm", "helmexec-k8s-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		text, err := os.ReadFile(measure)
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, "home"), 0o777)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "home", "measure"), text, 0o755)
		}
		if err == nil && ready {
			err = os.WriteFile(filepath.Join(dir, "home", "end"), nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	list := "benchmark: [/home/helmexec/measure, /home/helmexec/end]\nsuts:\n"
	for n, fault := range []string{"", cluster.FaultImagePull, ""} {
		list += fmt.Sprintf("- {name: number-%d, chart: %q, values: {fault: %q}}\n", n, sutChart, fault)
	}
	w.applyJob(t, list)
	// The simulated kubelet ends each pod at once, so that the next index gets its pod.
	byIndex := map[string]pod{}
	for _, p := range w.await(t, "nightly", 3) {
		byIndex[p.Metadata.Annotations["batch.kubernetes.io/job-completion-index"]] = p
	}

	i.killed(i.kubelet(byIndex["0"], emptied(false)), "measuring")
	for index, want := range map[string]string{"0": "0 done ", "1": "14 failed not-ready", "2": "0 done "} {
		var result struct {
			SUTs []struct {
				Release, State string
				Error          struct{ Kind string }
			}
		}
		code, stderr := i.ends(i.kubelet(byIndex[index], emptied(true)), &result)
		got := result.SUTs[0]
		if len(result.SUTs) != 1 || got.Release != "job-nightly-sut-number-"+index || fmt.Sprint(code, " ", got.State, " ", got.Error.Kind) != want {
			t.Errorf("index %s: exit %d, %+v, want %s\n%s", index, code, result, want, stderr)
		}
	}
	requests, err := w.cluster.Requests()
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for _, r := range requests {
		if r.Verb == "create" && r.Name == "sh.helm.release.v1.job-nightly-sut-number-0.v1" && r.Code < 300 {
			records++
		}
	}
	if records != 1 {
		t.Errorf("the SUT whose pod was killed was installed %d times", records)
	}
	w.wantNothing(t)

	code, _, stderr := w.helmexec(t, "helm4", w.runner, "install", "late", sutChart, "--deadline=1ms", "--namespace=suts", "--home="+t.TempDir())
	if code != 0 {
		t.Fatal(stderr)
	}
	for listed := false; !listed; { // a deadline is of whole seconds
		code, out, stderr := w.helmexec(t, "helm4", w.runner, "overdue", "--namespace=suts", "--home="+t.TempDir())
		if code != 0 {
			t.Fatal(stderr)
		}
		listed = strings.Contains(out, "late")
	}
	var cleaned struct {
		Removed []struct{ Release struct{ Name string } }
	}
	code, stderr = i.ends(i.kubelet(w.sweeper(t), emptied(true)), &cleaned)
	if code != 0 || len(cleaned.Removed) != 1 || cleaned.Removed[0].Release.Name != "late" {
		t.Errorf("the sweeper: exit %d, %+v\n%s", code, cleaned, stderr)
	}
	w.wantNothing(t)
}

// applyJob makes the Job, with another list of SUTs.
func (w *world) applyJob(t *testing.T, list string) {
	t.Helper()
	for _, text := range objects("job.yaml") {
		var object map[string]any
		if err := yaml.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] == "ConfigMap" {
			data := object["data"].(map[string]any)
			head, _, found := strings.Cut(data["jobs.yaml"].(string), "suts:\n")
			if !found {
				t.Fatal("the job has no list of SUTs")
			}
			data["jobs.yaml"] = strings.Replace(head, "registry.example", "docker.io", 1) + list
		}
		text, err := yaml.Marshal(object)
		if err == nil {
			err = w.cluster.Apply(w.ctx, text, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sweeper is the pod of a Job that is made from the CronJob by hand, before its time.
func (w *world) sweeper(t *testing.T) pod {
	t.Helper()
	var cron struct {
		Spec struct{ JobTemplate struct{ Spec any } }
	}
	if err := yaml.Unmarshal(objects("sweeper.yaml")[0], &cron); err != nil {
		t.Fatal(err)
	}
	job := map[string]any{"metadata": map[string]any{"name": "sweeper"}, "spec": cron.Spec.JobTemplate.Spec}
	if err := w.cluster.Request(w.ctx, http.MethodPost, "/apis/batch/v1/namespaces/fleet/jobs", job, nil); err != nil {
		t.Fatal(err)
	}
	return w.await(t, "sweeper", 1)[0]
}

// serve starts a repository of the chart of a SUT.
func (w *world) serve(t *testing.T) (url string) {
	t.Helper()
	repo, err := chartrepo.Start("", chartrepo.Options{})
	if err == nil {
		t.Cleanup(func() { _ = repo.Close() })
		err = repo.AddDir(sut)
	}
	if err != nil {
		t.Fatal(err)
	}
	return repo.URL
}

// wantNothing checks that no object is left of any SUT.
func (w *world) wantNothing(t *testing.T) {
	t.Helper()
	left, err := w.cluster.Objects(w.ctx, "suts")
	if err != nil {
		t.Fatal(err)
	}
	left = slices.DeleteFunc(left, func(o cluster.Object) bool { return o.Name == "runner" }) // of rights.yaml
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
