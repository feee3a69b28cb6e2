// Command jobrunner takes systems under test (SUTs) through a benchmark job, all of them at once:
//
//	jobrunner -job 42 http://127.0.0.1:8080/charts/webapp 'my sut=oci://registry.example/suts/inference:1.2.0'
//
// Each argument is the address of a Helm chart, optionally with a name of the SUT before it;
// default is the chart's name. The exit code is 0 if every SUT was installed, measured and removed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec"
)

func main() {
	var cfg helmexec.Config
	flag.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "kubeconfig `file`; helm's own choice if empty")
	flag.StringVar(&cfg.Namespace, "namespace", "default", "namespace to install into")
	flag.StringVar(&cfg.Home, "home", "", "`folder` of helm's repositories and archives; one in the user's cache if empty")
	id := flag.String("job", "demo", "`id` of the job")
	attempt := flag.String("attempt", "1", "`number` of the attempt; the same one when this program is started again for it")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: jobrunner [flags] [name=]chart-address...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, *id, *attempt, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "jobrunner:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg helmexec.Config, id, attempt string, args []string) error {
	helm, err := helmexec.New(cfg)
	if err != nil {
		return err
	}
	version, err := helm.Version(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	suts := parseSUTs(args)
	fmt.Printf("Job %s: %d SUTs at once in namespace %s, by helm %s\n\n", id, len(suts), cfg.Namespace, version)

	releases := map[string]string{}
	for _, s := range suts {
		release := helmexec.SUTHelmName(id, s.name)
		if other, taken := releases[release]; taken {
			return fmt.Errorf("the SUTs %q and %q would both be release %s: give one of them another name", other, s.name, release)
		}
		releases[release] = s.name
	}
	job := &job{helm: helm, id: id, attempt: attempt, out: newLines(suts)}
	var failed atomic.Int32
	var all sync.WaitGroup
	for _, sut := range suts {
		all.Add(1)
		go func() {
			defer all.Done()
			if !job.run(ctx, sut) {
				failed.Add(1)
			}
		}()
	}
	all.Wait()

	if n := failed.Load(); n > 0 {
		return fmt.Errorf("job %s: %d of %d SUTs failed, see above", id, n, len(suts))
	}
	fmt.Printf("\nJob %s: all %d SUTs measured and removed in %s\n", id, len(suts), seconds(time.Since(start)))
	return nil
}

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
