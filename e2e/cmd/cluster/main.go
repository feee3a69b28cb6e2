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
		return runIn(c, command)
	}
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig)
	fmt.Fprintln(os.Stderr, "Ctrl-C stops it and removes what is in it.")
	<-ctx.Done()
	return 0, nil
}

// runIn runs a command with a cluster. Ctrl-C reaches the command directly, and the cluster waits until the
// command has cleaned up; a SIGTERM, which reaches this process alone, is passed on.
func runIn(c *cluster.Cluster, command []string) (code int, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	defer signal.Stop(term)
	go func() {
		for range term {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err // ended by a signal
	}
	return 0, nil
}
