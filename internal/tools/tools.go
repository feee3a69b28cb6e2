// Package tools knows the programs that tests, benchmarks and checks run: which
// version of each, where it is kept, and how the go command builds it.
//
// Everything comes through the go command, so a machine that can fetch Go
// modules can build all of it. The programs are kept outside the source tree, in
// the user's cache folder, one folder per tool and version.
package tools

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Tool is one program in one version.
type Tool struct {
	Name    string        // what callers ask for
	Version string        // as the program itself reports it
	Cold    time.Duration // how long a build takes on two cores with nothing cached

	binary  string // the file's name, as go install names it
	pkg     string // import path to install; empty for a program of this source tree
	dir     string // folder of such a program, from the root of the source tree
	ldflags string
}

const (
	helm3Version      = "v3.22.0"
	helm4Version      = "v4.3.1"
	kubernetesVersion = "v1.34.4"
	kwokVersion       = "v0.8.0"
	registryVersion   = "v3.1.2"
	temporalVersion   = "v1.32.0"
)

// All returns every tool.
func All() []Tool {
	return []Tool{
		helm("helm3", helm3Version),
		helm("helm4", helm4Version),
		{
			Name: "controlplane", Version: kubernetesVersion, Cold: 6 * time.Minute,
			binary: "controlplane", dir: "e2e/controlplane",
			ldflags: "-X k8s.io/component-base/version.gitVersion=" + kubernetesVersion +
				" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
		},
		{
			Name: "kwok", Version: kwokVersion, Cold: 2 * time.Minute,
			binary: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok",
			ldflags: "-X sigs.k8s.io/kwok/pkg/consts.Version=" + kwokVersion,
		},
		{
			Name: "registry", Version: registryVersion, Cold: 2 * time.Minute,
			binary: "registry", pkg: "github.com/distribution/distribution/v3/cmd/registry",
			ldflags: "-X github.com/distribution/distribution/v3/version.version=" + registryVersion,
		},
		{
			Name: "temporal", Version: temporalVersion, Cold: 5 * time.Minute,
			binary: "temporal", dir: "e2e/temporal",
		},
		{
			Name: "guard", Version: "v1", Cold: 2 * time.Second,
			binary: "guard", dir: "e2e/guard",
		},
		{
			Name: "staticcheck", Version: "v0.8.2", Cold: 30 * time.Second,
			binary: "staticcheck", pkg: "honnef.co/go/tools/cmd/staticcheck",
		},
	}
}

// helm is the helm of a version, by the module of its major version.
func helm(name, version string) Tool {
	module := "helm.sh/helm/" + version[:2]
	return Tool{
		Name: name, Version: version, Cold: 150 * time.Second,
		binary: "helm", pkg: module + "/cmd/helm",
		ldflags: "-X " + module + "/internal/version.version=" + version,
	}
}

// helmVersion is the name of a tool that is a helm of any version, such as helm@v3.14.4.
var helmVersion = regexp.MustCompile(`^helm@(v[34]\.\d+\.\d+)$`)

// ErrNotBuilt: the tool is known but was not built on this machine.
var ErrNotBuilt = errors.New("not built")

// Path returns the path of the named tool. If it is missing, the error says how to get it, so that
// a test can skip with it.
func Path(name string) (string, error) {
	tool, err := find(name)
	if err != nil {
		return "", err
	}
	path, err := tool.path()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s %s is %w: run `go run ./internal/tools/cmd/tools %s`", tool.Name, tool.Version, ErrNotBuilt, name)
	}
	return path, nil
}

func find(name string) (Tool, error) {
	var names []string
	for _, tool := range All() {
		if tool.Name == name {
			return tool, nil
		}
		names = append(names, tool.Name)
	}
	switch match := helmVersion.FindStringSubmatch(name); {
	case match == nil:
		return Tool{}, fmt.Errorf("unknown tool %q (known: %s, helm@VERSION)", name, strings.Join(names, ", "))
	case match[1] == helm3Version:
		return find("helm3")
	case match[1] == helm4Version:
		return find("helm4")
	default:
		return helm("helm", match[1]), nil
	}
}

func (t Tool) path() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := t.Name + "-" + t.Version
	if t.dir != "" {
		// A program of this tree changes without a new version: its text is its version.
		sum, err := t.sourceSum()
		if err != nil {
			return "", err
		}
		folder += "-" + sum
	}
	binary := t.binary
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	return filepath.Join(cache, "helmexec-tools", runtime.GOOS+"-"+runtime.GOARCH, folder, binary), nil
}

// sourceSum is a short digest of the files that decide what a program of this
// source tree does: its Go files and its module files.
func (t Tool) sourceSum() (string, error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	fmt.Fprintln(hash, t.ldflags)
	err = filepath.WalkDir(filepath.Join(root, filepath.FromSlash(t.dir)), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := entry.Name()
		if name != "go.mod" && name != "go.sum" && filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(hash, "%s %d\n%s", name, len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:6]), nil
}

// sourceRoot finds the top folder of helmexec's source from the working
// directory, which go test sets to the folder of the package under test, or
// from the program, which make puts into bin.
func sourceRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	program, err := os.Executable()
	if err != nil {
		program = start
	}
	for _, dir := range []string{start, filepath.Dir(program)} {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && strings.HasPrefix(string(text), "module github.com/sut-bench/helmexec\n") {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("%s is not inside the source tree of helmexec, and neither is %s", start, program)
}
