// Command jobrunner takes systems under test (SUTs) through a benchmark job, all of them at once:
//
//	jobrunner -job 42 -node nvidia.com/gpu=8 http://127.0.0.1:8080/charts/webapp 'my sut=oci://registry.example/suts/inference:1.2.0'
//
// Each argument is the address of a Helm chart, optionally with a name of the SUT before it;
// default is the chart's name. The address of a folder begins with ./ or /. The exit code is 0 if every SUT
// was installed, measured and removed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/policy"
)

func main() {
	var cfg helmexec.Config
	j := job{stdout: os.Stdout}
	flag.StringVar(&cfg.Binary, "helm", "", "`path` of helm; the one on PATH if empty")
	flag.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "kubeconfig `file`; helm's own choice if empty")
	flag.StringVar(&cfg.Namespace, "namespace", "default", "namespace to install into")
	flag.StringVar(&cfg.Home, "home", "", "`folder` of helm's repositories and archives; one in the user's cache if empty")
	flag.StringVar(&cfg.Keyring, "keyring", "", "`file` of public keys, as gpg --export writes it: only charts that are signed with one of them are installed")
	flag.StringVar(&j.id, "job", "demo", "`id` of the job")
	flag.StringVar(&j.attempt, "attempt", "1", "`number` of the attempt; the same one when this program is started again for it")
	flag.StringVar(&j.plans, "plans", "", "`folder` of what is being installed, for a restart; one in the user's cache if empty")
	flag.DurationVar(&j.timeout, "timeout", 5*time.Minute, "`time` until a SUT must be ready")
	neverReady := flag.Duration("never-ready", 0, "`time` after which a SUT is given up whose pods run and are not ready; that of the whole wait if 0")
	flag.BoolVar(&j.trusted, "trusted", false, "install charts that the rules for strangers refuse, such as those with CRDs")
	flag.Func("registries", "the `registries` that images may come from, joined by commas; any without it", func(text string) error {
		j.registries = strings.Split(text, ",")
		return policy.TenantOptions{Registries: j.registries}.Validate()
	})
	flag.Func("node", "the `accelerators` of one node, such as nvidia.com/gpu=8; once for each node that has some", func(text string) error {
		node, err := parseNode(text)
		j.nodes = append(j.nodes, node)
		return err
	})
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: jobrunner [flags] [name=]chart-address...\nThe address of a folder begins with ./ or /.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	j.rules = rules(*neverReady)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, &j, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "jobrunner:", err)
		os.Exit(1)
	}
}

// rules are those that end a wait.
func rules(neverReady time.Duration) []helmexec.FailFastRule {
	all := helmexec.FailFastRules()
	if neverReady > 0 {
		all = append(all, helmexec.FailFastRule{Name: "never-ready", Reasons: []string{"NotReady"}, After: neverReady})
	}
	return all
}

func run(ctx context.Context, cfg helmexec.Config, j *job, args []string) (err error) {
	if j.helm, err = helmexec.New(cfg); errors.Is(err, helmexec.ErrHelmNotFound) {
		return fmt.Errorf("%w; here that is the flag -helm", err)
	} else if err != nil {
		return err
	}
	version, err := j.helm.Version(ctx)
	if err != nil {
		return err
	}
	if j.plans == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		j.plans = filepath.Join(cache, "jobrunner")
	}
	if err := os.MkdirAll(j.plans, 0o700); err != nil {
		return err
	}
	start := time.Now()
	suts := parseSUTs(args)
	fmt.Fprintf(j.stdout, "Job %s in namespace %s, by helm %s\n\n", j.id, cfg.Namespace, version)

	releases := map[string]string{}
	for _, s := range suts {
		release := helmexec.SUTHelmName(j.id, s.name)
		if other, taken := releases[release]; taken {
			return fmt.Errorf("the SUTs %q and %q would both be release %s: give one of them another name", other, s.name, release)
		}
		releases[release] = s.name
	}
	j.out = newLines(j.stdout, suts)
	failures := make([]error, len(suts))
	var all sync.WaitGroup
	for i, sut := range suts {
		all.Go(func() { failures[i] = j.run(ctx, sut) })
	}
	all.Wait()

	if failures = slices.DeleteFunc(failures, func(err error) bool { return err == nil }); len(failures) > 0 {
		return &jobError{fmt.Sprintf("job %s: %d of %d failed, see above", j.id, len(failures), len(suts)), failures}
	}
	fmt.Fprintf(j.stdout, "\nJob %s: all measured and removed in %s\n", j.id, seconds(time.Since(start)))
	return nil
}

// jobError is what went wrong with the SUTs of a job. Each has printed it.
type jobError struct {
	text string
	suts []error
}

func (e *jobError) Error() string { return e.text }

// Unwrap gives the errors of the SUTs, for errors.Is and errors.As.
func (e *jobError) Unwrap() []error { return e.suts }

// parseSUTs reads arguments of the form [name=]address.
func parseSUTs(args []string) []sut {
	var suts []sut
	for _, arg := range args {
		name, address, named := strings.Cut(arg, "=")
		if !named || strings.ContainsAny(name, "/:") {
			address = arg
			name = address[strings.LastIndexByte(address, '/')+1:]
			name, _, _ = strings.Cut(name, ":")
		}
		suts = append(suts, sut{name, address})
	}
	return suts
}

// parseNode reads accelerators of the form name=amount,name=amount.
func parseNode(text string) (map[string]int64, error) {
	node := map[string]int64{}
	for _, part := range strings.Split(text, ",") {
		name, amount, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(amount, 10, 64)
		if err != nil || name == "" || n < 0 {
			return nil, fmt.Errorf("%q is not a name and an amount, such as nvidia.com/gpu=8", part)
		}
		node[name] = n
	}
	return node, nil
}
