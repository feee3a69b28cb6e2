// Package cluster starts real Kubernetes control planes on this machine for
// tests: etcd, apiserver, controller manager and scheduler as they are, and kwok instead of the
// kubelets, which simulates pods without running them. Labels on a pod choose what it simulates;
// see [LabelFault].
//
// A cluster belongs to the program that started it and ends with it, however
// that program ends.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

// Options says what cluster to start. The zero value is useful.
type Options struct {
	// Nodes to make; nil means DefaultNodes.
	Nodes []Node
	// TempDir is the folder in which the cluster makes its own folder; "" means that of the system.
	TempDir string
	// Audit keeps an audit log for Requests.
	Audit bool
}

// Cluster is a running control plane with its nodes.
type Cluster struct {
	// Kubeconfig is the path of a file that gives its reader all rights.
	Kubeconfig string
	// URL is where the apiserver listens.
	URL string
	// Dir has the logs, the data and every kubeconfig; it is removed with the cluster.
	Dir string

	port      int
	authority *authority
	token     string
	client    *http.Client
	binaries  binaries
	baseline  map[string]bool // objects that were there before the first user; see Objects
	audit     bool

	mu        sync.Mutex
	processes map[string]*guarded.Process // by component
}

type binaries struct{ controlplane, kwok string }

// startTimeout is for a machine with every core busy; three seconds are usual.
const startTimeout = 5 * time.Minute

// Available returns nil if this machine can start clusters, and otherwise an
// error to skip a test with.
func Available() error {
	_, err := findBinaries()
	return err
}

func findBinaries() (found binaries, err error) {
	if _, err := tools.Path("guard"); err != nil {
		return found, err
	}
	if found.controlplane, err = tools.Path("controlplane"); err != nil {
		return found, err
	}
	found.kwok, err = tools.Path("kwok")
	return found, err
}

// Start starts a cluster and returns when pods can be made in it.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("gave up after %s", startTimeout))
	defer cancel()
	for tries := 1; ; tries++ {
		c, err := start(ctx, binaries, opts)
		if !errors.Is(err, guarded.ErrPortTaken) || tries == 5 {
			return c, err
		}
	}
}

func start(ctx context.Context, binaries binaries, opts Options) (_ *Cluster, err error) {
	dir, err := os.MkdirTemp(opts.TempDir, "helmexec-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, binaries: binaries, audit: opts.Audit, processes: map[string]*guarded.Process{}}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("prepare a cluster in %s: %w", dir, err)
	}
	if err := c.startEtcd(ctx); err != nil {
		return nil, err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return nil, err
	}
	for _, component := range []func() error{c.startControllerManager, c.startScheduler, c.startKwok} {
		if err := component(); err != nil {
			return nil, err
		}
	}
	nodes := opts.Nodes
	if nodes == nil {
		nodes = DefaultNodes()
	}
	for _, node := range nodes {
		if err := c.AddNode(ctx, node); err != nil {
			return nil, err
		}
	}
	if err := c.addStorageClass(ctx); err != nil {
		return nil, err
	}
	if err := c.awaitControllers(ctx); err != nil {
		return nil, err
	}
	start, err := c.Everything(ctx)
	c.baseline = uids(start)
	return c, err
}

// prepare writes what the components read: certificates, tokens, kubeconfig, stages.
func (c *Cluster) prepare() error {
	var err error
	if c.port, err = guarded.FreePort(); err != nil {
		return err
	}
	c.URL = fmt.Sprintf("https://127.0.0.1:%d", c.port)
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	c.token = randomToken()
	c.client = c.authority.client()
	files := map[string][]byte{
		"apiserver.crt":        c.authority.serverCert,
		"apiserver.key":        c.authority.serverKey,
		"ca.crt":               c.authority.cert,
		"service-accounts.key": c.authority.accountsKey,
		"tokens.csv":           []byte(c.token + `,admin,admin,"system:masters"` + "\n"),
		"stages.yaml":          stages,
		"audit-policy.yaml":    []byte(auditPolicy),
	}
	for name, text := range files {
		if err := os.WriteFile(c.file(name), text, 0o600); err != nil {
			return err
		}
	}
	c.Kubeconfig, err = c.writeKubeconfig("kubeconfig", c.URL, "", c.authority.cert)
	return err
}

// awaitControllers returns when the controllers have done what a first pod needs.
func (c *Cluster) awaitControllers(ctx context.Context) error {
	return c.process("kube-controller-manager").Await(ctx, func(ctx context.Context) error {
		return c.awaitDefaults(ctx, "default")
	})
}

// Stop ends every process of the cluster and removes its folder. It can be called again.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var wait sync.WaitGroup
	for _, process := range c.processes {
		wait.Add(1)
		go func() {
			defer wait.Done()
			process.Stop()
		}()
	}
	wait.Wait()
	clear(c.processes)
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	_ = os.RemoveAll(c.Dir)
}

// StopAPIServer ends the apiserver as a crash would; everything else keeps running.
func (c *Cluster) StopAPIServer() { c.stop("kube-apiserver") }

// RestartControllers restarts what watches the apiserver: after some outages within minutes, each
// watch waits a minute before it tries again.
func (c *Cluster) RestartControllers() error {
	for name, start := range map[string]func() error{
		"kube-controller-manager": c.startControllerManager,
		"kube-scheduler":          c.startScheduler,
		"kwok":                    c.startKwok,
	} {
		c.stop(name)
		if err := start(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) stop(component string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if process, ok := c.processes[component]; ok {
		process.Stop()
		delete(c.processes, component)
	}
}

// Groups returns the process group of each component.
func (c *Cluster) Groups() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var groups []int
	for _, process := range c.processes {
		groups = append(groups, process.Group())
	}
	return groups
}

func (c *Cluster) process(component string) *guarded.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[component]
}

func (c *Cluster) file(name string) string { return filepath.Join(c.Dir, name) }
