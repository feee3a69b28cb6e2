// Command fleet runs benchmark jobs on many hosts, with Temporal as the engine that loses none of them:
//
//	fleet worker -plans /shared/plans -clusters lab-a,lab-b     on every host
//	fleet submit jobs.yaml
//	fleet status [job]
//	fleet cancel job [sut]
//
// docs/fleet.md of the source says how it works, and what its times mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

const usage = `usage: fleet [-server host:port] command

  worker [flags]       take activities and workflows; "fleet worker -h" lists the flags
  submit jobs.yaml     start the jobs of a file, each once, however often it is submitted
  status [-json] [job] show the jobs
  cancel job [sut]     cancel the running SUTs of a job; what they installed is removed
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	var wrong usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "fleet: %v\n\n%s", err, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

// usageError is an error in the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, out io.Writer) error {
	global := flag.NewFlagSet("fleet", flag.ContinueOnError)
	global.Usage = func() { fmt.Fprint(global.Output(), usage) }
	server := global.String("server", client.DefaultHostPort, "")
	if err := global.Parse(args); err != nil {
		return parseError(err)
	}
	command, args := global.Arg(0), global.Args()[min(1, global.NArg()):]
	flags := flag.NewFlagSet("fleet "+command, flag.ContinueOnError)
	switch command {
	case "worker":
		var o workerOptions
		o.flags(flags)
		if err := parse(flags, args, 0, 0); err != nil {
			return err
		}
		return work(ctx, *server, o)
	case "submit":
		if err := parse(flags, args, 1, 1); err != nil {
			return err
		}
		jobs, err := readJobs(flags.Arg(0))
		if err != nil {
			return err
		}
		return withClient(ctx, *server, func(c client.Client) error { return submit(ctx, c, jobs, out) })
	case "status":
		asJSON := flags.Bool("json", false, "one JSON object a line")
		if err := parse(flags, args, 0, 1); err != nil {
			return err
		}
		return withClient(ctx, *server, func(c client.Client) error { return status(ctx, c, flags.Arg(0), *asJSON, out) })
	case "cancel":
		if err := parse(flags, args, 1, 2); err != nil {
			return err
		}
		return withClient(ctx, *server, func(c client.Client) error { return cancel(ctx, c, flags.Arg(0), flags.Arg(1), out) })
	case "":
		return usageError("a command is missing")
	}
	return usageError(fmt.Sprintf("there is no command %q", command))
}

// parse reads flags and checks how many arguments follow.
func parse(flags *flag.FlagSet, args []string, least, most int) error {
	if err := flags.Parse(args); err != nil {
		return parseError(err)
	}
	if n := flags.NArg(); n < least || n > most {
		return usageError(fmt.Sprintf("%s: %d arguments do not fit", flags.Name(), n))
	}
	return nil
}

func parseError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return usageError(err.Error())
}

func withClient(ctx context.Context, server string, do func(client.Client) error) error {
	c, err := client.DialContext(ctx, client.Options{HostPort: server, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return fmt.Errorf("no answer of Temporal at %s: %w", server, err)
	}
	defer c.Close()
	return do(c)
}
