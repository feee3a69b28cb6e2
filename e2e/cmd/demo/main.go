// Command demo starts a local cluster and chart repository, runs the job runner of
// examples/jobrunner on them, and stops them:
//
//	demo path-of-jobrunner folder-of-charts
//
// Missing tools are built first. The exit code is 0 if the job runner's is 0, and the cluster
// itself has nothing left.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/tools"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: demo path-of-jobrunner folder-of-charts")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := demo(ctx, os.Args[1], os.Args[2])
	if ctx.Err() != nil {
		err = errors.New("interrupted; everything is stopped")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, jobrunner, charts string) error {
	helm, err := prepare(ctx)
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "helmexec-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	repo, err := chartrepo.Start("", chartrepo.Options{})
	if err != nil {
		return err
	}
	defer repo.Close()
	if err := repo.AddDir(charts); err != nil {
		return err
	}
	fmt.Println("Chart repository at", repo.URL)

	start := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer c.Stop()
	fmt.Printf("Kubernetes at %s, ready in %.1f s\n\n", c.URL, time.Since(start).Seconds())

	err = run(ctx, jobrunner, "-helm", helm, "-kubeconfig", c.Kubeconfig, "-home", home, "-plans", filepath.Join(home, "plans"), "-job", "demo",
		"-node", "nvidia.com/gpu=8", repo.URL+"/webapp", "百度-Qwen推理="+repo.URL+"/gpu-inference:1.2.0")
	if err != nil {
		return err
	}
	return nothingLeft(ctx, c)
}

// prepare builds missing tools and returns the helm to use: that on PATH if helmexec supports it.
func prepare(ctx context.Context) (helm string, err error) {
	names := []string{"guard", "controlplane", "kwok"}
	helm, version, err := helmOnPath(ctx)
	if err == nil {
		fmt.Printf("Helm %s at %s\n", version, helm)
		return helm, tools.Build(ctx, os.Stdout, names...)
	}
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Println("There is no helm on PATH, so one is taken from the tools.")
	} else {
		fmt.Println("The helm on PATH is of no use, so one is taken from the tools:", err)
	}
	if err := tools.Build(ctx, os.Stdout, append(names, "helm4")...); err != nil {
		return "", err
	}
	return tools.Path("helm4")
}

func helmOnPath(ctx context.Context) (path string, version helmexec.Version, err error) {
	if path, err = exec.LookPath("helm"); err != nil {
		return "", version, err
	}
	home, err := os.MkdirTemp("", "helmexec-demo-")
	if err != nil {
		return "", version, err
	}
	defer os.RemoveAll(home)
	h, err := helmexec.New(helmexec.Config{Binary: path, Home: home})
	if err != nil {
		return "", version, err
	}
	version, err = h.Version(ctx)
	return path, version, err
}

// run runs the job runner.
func run(ctx context.Context, jobrunner string, args ...string) error {
	cmd := exec.CommandContext(ctx, jobrunner, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// It removes what it installed before it ends.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 3 * time.Minute
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the job runner failed: %w", err)
	}
	return nil
}

// nothingLeft asks the cluster itself, without helm and helmexec.
func nothingLeft(ctx context.Context, c *cluster.Cluster) error {
	objects, err := c.Objects(ctx)
	if err != nil {
		return err
	}
	for _, object := range objects {
		fmt.Println("left in the cluster:", object)
	}
	if len(objects) > 0 {
		return errors.New("the job left something behind")
	}
	fmt.Println("Kubernetes has nothing left of it")
	return nil
}
