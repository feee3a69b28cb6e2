// Command corpus measures the image extractor against a folder of manifests whose images are known.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/sut-bench/helmexec/internal/corpus"
)

func main() {
	rounds := flag.Int("rounds", 3, "rounds per manifest; the best one counts")
	differences := flag.Bool("v", false, "print every difference")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: corpus [flags] folder")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	c, err := corpus.Load(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	results := c.Measure(*rounds)
	corpus.Print(os.Stdout, results)
	if *differences {
		for _, r := range results {
			for _, line := range r.Differences {
				fmt.Println(line)
			}
		}
	}
}
