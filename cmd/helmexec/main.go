// Command helmexec looks at charts, checks them, installs them and cleans up after them, in a shell. docs/command.md of the
// source has its commands, the documents it prints and its exit codes.
package main

import (
	"os"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/cli"
)

func main() { os.Exit(cli.Main()) }
