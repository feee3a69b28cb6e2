// Chartrepo serves the charts of a folder as a chart repository on the loopback interface, until it is interrupted.
// It prints the URL of the repository as its first line.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	var opts chartrepo.Options
	flag.StringVar(&opts.Prefix, "prefix", "/charts", "path of the repository")
	flag.StringVar(&opts.Username, "username", "", "user name that it wants")
	flag.StringVar(&opts.Password, "password", "", "password that it wants")
	flag.StringVar(&opts.Token, "token", "", "bearer token that it wants")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: chartrepo [flags] folder-of-charts\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, flag.Arg(0), opts); err != nil {
		fmt.Fprintln(os.Stderr, "chartrepo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, dir string, opts chartrepo.Options) error {
	server, err := chartrepo.Start(addr, opts)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.AddDir(dir); err != nil {
		return err
	}
	fmt.Println(server.URL)
	<-ctx.Done()
	return nil
}
