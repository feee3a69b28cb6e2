// Command tools builds the programs that tests and checks run: the named ones, or all, each only if
// it does not exist yet. With -path it prints their paths.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sut-bench/helmexec/internal/tools"
)

func main() {
	path := flag.Bool("path", false, "print where the tools are")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: tools [-path] [name...]\nthe names:")
		for _, tool := range tools.All() {
			fmt.Fprintf(flag.CommandLine.Output(), "  %-13s %s\n", tool.Name, tool.Version)
		}
		fmt.Fprintln(flag.CommandLine.Output(), "and helm@VERSION, such as helm@v3.14.4")
	}
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		for _, tool := range tools.All() {
			names = append(names, tool.Name)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *path, names); err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path bool, names []string) error {
	if err := tools.Build(ctx, os.Stderr, names...); err != nil || !path {
		return err
	}
	for _, name := range names {
		found, err := tools.Path(name)
		if err != nil {
			return err
		}
		fmt.Println(found)
	}
	return nil
}
