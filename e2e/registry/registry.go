// Package registry starts a real OCI registry on this machine for tests, with
// everything in its memory. It ends with the program that started it.
package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sut-bench/helmexec/e2e/internal/guarded"
	"github.com/sut-bench/helmexec/internal/tools"
)

// Options says what registry to start. With the zero value everybody has access.
type Options struct {
	// User and Password, if not empty, are required by basic authentication.
	User, Password string
}

// Registry is a running registry. It speaks plain HTTP.
type Registry struct {
	// Address is host:port, for references such as oci://host:port/charts.
	Address string

	dir     string
	process *guarded.Process
}

const startTimeout = 5 * time.Minute

// Available returns nil if this machine can start registries, and otherwise an
// error to skip a test with.
func Available() error {
	_, err := findBinary()
	return err
}

func findBinary() (string, error) {
	if _, err := tools.Path("guard"); err != nil {
		return "", err
	}
	return tools.Path("registry")
}

// Start starts a registry and returns when it answers.
func Start(ctx context.Context, opts Options) (*Registry, error) {
	binary, err := findBinary()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("gave up after %s", startTimeout))
	defer cancel()
	for tries := 1; ; tries++ {
		r, err := start(ctx, binary, opts)
		if !errors.Is(err, guarded.ErrPortTaken) || tries == 5 {
			return r, err
		}
	}
}

// identity is a header that shows that no other registry has got its port.
const identity = "X-Helmexec-Registry"

func start(ctx context.Context, binary string, opts Options) (_ *Registry, err error) {
	dir, err := os.MkdirTemp("", "helmexec-registry-")
	if err != nil {
		return nil, err
	}
	r := &Registry{dir: dir}
	defer func() {
		if err != nil {
			r.Stop()
		}
	}()
	port, err := guarded.FreePort()
	if err != nil {
		return nil, err
	}
	r.Address = fmt.Sprintf("127.0.0.1:%d", port)
	id := rand.Text()
	config, err := r.configure(opts, id)
	if err != nil {
		return nil, err
	}
	r.process, err = guarded.Start(guarded.Server{
		Name:    "registry",
		Command: []string{binary, "serve", config},
		Dir:     dir,
		Log:     filepath.Join(dir, "registry.log"),
		Remove:  dir,
	})
	if err != nil {
		return nil, err
	}
	err = r.process.Await(ctx, func(ctx context.Context) error { return r.answers(ctx, id) })
	return r, err
}

// configure writes the registry's configuration; JSON is YAML.
func (r *Registry) configure(opts Options, id string) (path string, err error) {
	type object = map[string]any
	config := object{
		"version": "0.1",
		"log":     object{"level": "warn", "accesslog": object{"disabled": true}},
		"storage": object{"inmemory": object{}, "delete": object{"enabled": true}},
		"http":    object{"addr": r.Address, "headers": object{identity: []string{id}}},
	}
	if opts.User != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(opts.Password), bcrypt.MinCost)
		if err != nil {
			return "", err
		}
		passwords := filepath.Join(r.dir, "htpasswd")
		if err := os.WriteFile(passwords, []byte(opts.User+":"+string(hash)+"\n"), 0o600); err != nil {
			return "", err
		}
		config["auth"] = object{"htpasswd": object{"realm": "helmexec-e2e", "path": passwords}}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	path = filepath.Join(r.dir, "config.yml")
	return path, os.WriteFile(path, text, 0o600)
}

func (r *Registry) answers(ctx context.Context, id string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Address+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.Header.Get(identity) != id {
		return fmt.Errorf("another server answers on %s", r.Address)
	}
	if code := response.StatusCode; code != http.StatusOK && code != http.StatusUnauthorized {
		return errors.New(response.Status)
	}
	return nil
}

// Stop ends the registry and forgets what is in it. It can be called again.
func (r *Registry) Stop() {
	if r.process != nil {
		r.process.Stop()
	}
	_ = os.RemoveAll(r.dir)
}
