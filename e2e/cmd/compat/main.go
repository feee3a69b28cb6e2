// Command compat writes docs/compatibility.md: it makes every call of helmexec with real Helms of many versions, on a local
// cluster, repository and registry, and gives each Helm the flags that the library uses. Run it in the folder e2e, for its
// own list of versions or for the given ones:
//
//	go run ./cmd/compat
//	go run ./cmd/compat v3.14.4 v4.3.1
//
// Helms that are missing are built first, from source.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sut-bench/helmexec/internal/tools"
)

// versions are the oldest Helms that the library works with, the newest, and some between.
var versions = []string{"v3.14.4", "v3.17.4", "v3.19.5", "v3.22.0", "v4.0.5", "v4.3.1"}

func main() {
	root := flag.String("root", "..", "the top folder of the source tree that gets the page")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(flag.Args()) > 0 {
		versions = flag.Args()
	}
	if err := compare(ctx, *root); err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		stop()
		os.Exit(1)
	}
}

func compare(ctx context.Context, root string) error {
	flags, err := readFlags(filepath.Join(root, "testdata", "argv"))
	if err != nil {
		return err
	}
	for _, version := range versions {
		if err := tools.Build(ctx, os.Stderr, "helm@"+version); err != nil {
			return err
		}
	}
	w, err := newWorld(ctx, root)
	defer w.close()
	if err != nil {
		return err
	}
	var results []result
	for _, version := range versions {
		binary, err := tools.Path("helm@" + version)
		if err != nil {
			return err
		}
		r := result{version: version}
		if r.outcomes, err = w.try(ctx, version, binary, flags); err != nil {
			return err
		}
		results = append(results, r)
	}
	for i, r := range results {
		binary, err := tools.Path("helm@" + r.version)
		if err != nil {
			return err
		}
		if results[i].unknown, err = flags.unknownTo(ctx, r.version, binary); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(root, "docs", "compatibility.md"), []byte(page(results)), 0o644)
}
