package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sut-bench/helmexec"
)

// seed is the algorithm that helmexec replaces, unchanged: one lock around every helm process. Two
// changes favour it: no shell and no awk are started, and ':' is replaced in the name it makes from
// a URL, because with ':' no chart of a repository at a port can be named.
type seed struct {
	mutex     sync.Mutex
	binary    string
	env       []string
	processes atomic.Int64
}

func (s *seed) helm(ctx context.Context, args ...string) (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.processes.Add(1)
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = s.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(stderr.String()))
	}
	return string(out), err
}

func (s *seed) addRepo(ctx context.Context, url string) (string, error) {
	if out, err := s.helm(ctx, "repo", "list"); err == nil {
		for _, line := range strings.Split(out, "\n")[1:] {
			if f := strings.Fields(line); len(f) == 2 && f[1] == url {
				return f[0], nil
			}
		}
	}
	name := strings.NewReplacer("://", "-", "/", "-", ":", "-").Replace(url)
	_, err := s.helm(ctx, "repo", "add", name, url)
	return name, err
}

// chart2info gives name, version and values of a chart.
func (s *seed) chart2info(ctx context.Context, address string) (name, version, values string, err error) {
	slash := strings.LastIndex(address, "/")
	repo, err := s.addRepo(ctx, address[:slash])
	if err != nil {
		return "", "", "", err
	}
	if _, err := s.helm(ctx, "repo", "update"); err != nil {
		return "", "", "", err
	}
	name, version, _ = strings.Cut(repo+address[slash:], ":")
	chart := []string{name}
	if version != "" {
		chart = append(chart, "--version", version)
	}
	if _, err := s.helm(ctx, append([]string{"show", "chart"}, chart...)...); err != nil {
		return "", "", "", err
	}
	values, err = s.helm(ctx, append([]string{"show", "values"}, chart...)...)
	return name, version, values, err
}

// chart2images reads images from what helm renders; how they are found is not measured here, so
// that both sides find them in the same way.
func (s *seed) chart2images(ctx context.Context, name, version string) ([]string, error) {
	args := []string{"template", "--kube-version", helmexec.DefaultKubeVersion, name}
	args = append(args, "--generate-name")
	if version != "" {
		args = append(args, "--version", version)
	}
	out, err := s.helm(ctx, args...)
	if err != nil {
		return nil, err
	}
	return helmexec.Manifest(out).Images(helmexec.ImageOptions{})
}

func (s *seed) install(ctx context.Context, args ...string) error {
	_, err := s.helm(ctx, append([]string{"install"}, args...)...)
	return err
}

// plainEnv is the environment of helm processes that know nothing of helmexec.
func plainEnv(home string, more ...string) []string {
	return append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, more...)
}
