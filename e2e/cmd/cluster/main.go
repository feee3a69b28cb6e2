// Command cluster starts a local cluster and keeps it until it is interrupted:
//
//	cluster
//	cluster -- command [argument...]
//
// With a command it runs that with KUBECONFIG set, stops the cluster when it
// ends, and exits as it did.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: cluster [-- command [argument...]]")
	}
	flag.Parse()
	args := flag.Args()
	if len(args) > 0 {
		if _, err := exec.LookPath(args[0]); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
			os.Exit(2)
		}
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	os.Exit(code)
}

func run(command []string) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	begin := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return 1, err
	}
	defer c.Stop()
	fmt.Fprintf(os.Stderr, "cluster ready in %s\n", time.Since(begin).Round(100*time.Millisecond))
	if len(command) > 0 {
		return runIn(ctx, c, command)
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig)
	fmt.Fprintln(os.Stderr, "Ctrl-C stops it and removes what is in it.")
	<-ctx.Done()
	return 0, nil
}

func runIn(ctx context.Context, c *cluster.Cluster, command []string) (code int, err error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Ctrl-C reaches the command directly; this is for a signal to this process only.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if code := exit.ExitCode(); code > 0 {
			return code, nil
		}
		return 1, err // a signal
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
