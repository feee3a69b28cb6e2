package registry

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec/internal/tools"
)

func startRegistry(t *testing.T, opts Options) *Registry {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	r, err := Start(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func TestPushAndPull(t *testing.T) {
	r := startRegistry(t, Options{})
	helm, err := tools.Path("helm4")
	if err != nil {
		t.Skip(err)
	}
	dir, pulled := t.TempDir(), t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(helm, args...)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + dir}
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("helm %v: %v\n%s", args, err, output)
		}
		return string(output)
	}
	run("create", "demo")
	run("package", "demo")
	run("push", "--plain-http", "demo-0.1.0.tgz", "oci://"+r.Address+"/charts")
	run("pull", "--plain-http", "oci://"+r.Address+"/charts/demo", "--version", "0.1.0", "-d", pulled)
	if shown := run("show", "chart", filepath.Join(pulled, "demo-0.1.0.tgz")); !strings.Contains(shown, "name: demo") {
		t.Errorf("pulled a chart that is %s", shown)
	}
}

func TestPassword(t *testing.T) {
	r := startRegistry(t, Options{User: "team", Password: "secret"})
	for password, want := range map[string]int{"secret": http.StatusOK, "wrong": http.StatusUnauthorized} {
		request, err := http.NewRequest(http.MethodGet, "http://"+r.Address+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("team", password)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("password %q: %s, want %d", password, response.Status, want)
		}
	}
}

func TestStop(t *testing.T) {
	r := startRegistry(t, Options{})
	r.Stop()
	r.Stop()
	if response, err := http.Get("http://" + r.Address + "/v2/"); err == nil {
		response.Body.Close()
		t.Error("it still answers")
	}
}
