// Package cli has the commands of helmexec, one file a group of them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
)

// Streams are what the command reads and writes.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Colour         bool // Stdout shows colours
	Terminal       bool // Stderr is a terminal
	Width          int  // its columns
	// Patience is how long a command works without a word; then it says what it does. 0 is for ever.
	Patience time.Duration
}

// Main runs the command with the arguments and streams of this process, and returns its exit code. An interrupt ends the
// context, so that the library cleans up; the next one ends the process at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	width, terminal := terminalOf(os.Stderr)
	_, shows := terminalOf(os.Stdout)
	return Run(ctx, os.Args[1:], Streams{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Terminal: terminal, Width: width,
		Colour: shows && wantsColour(os.Getenv), Patience: 10 * time.Second,
	}, takePlugin(), stop)
}

// wantsColour follows no-color.org.
func wantsColour(getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// Run runs the command and returns its exit code. plugin is nil unless helm started it. interrupted is called when ctx has
// ended.
func Run(ctx context.Context, args []string, s Streams, plugin *Plugin, interrupted func()) int {
	a := &app{
		plugin: plugin,
		stdin:  s.Stdin,
		out:    &out.Printer{Stdout: s.Stdout, Stderr: s.Stderr, Colour: s.Colour, Terminal: s.Terminal, Width: s.Width},
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(s.Stdin)
	root.SetOut(s.Stdout)
	root.SetErr(s.Stderr)
	defer context.AfterFunc(ctx, func() {
		interrupted()
		if a.started.Load() {
			a.say("stopping, and removing what is half made; interrupt again to leave it")
		}
	})()
	err := understood(root, args)
	if err == nil {
		stop := a.breakSilence(s.Patience)
		err = root.ExecuteContext(ctx)
		stop()
	}
	a.out.Done()
	if err == nil {
		return 0
	}
	if !a.started.Load() {
		err = usageError{err}
		a.out.Format = formatOf(args)
	}
	return a.fail(err)
}

// app is one run of the command.
type app struct {
	name    string  // what people type
	plugin  *Plugin // nil unless helm started the command
	out     *out.Printer
	stdin   io.Reader
	started atomic.Bool // the command line is understood

	cfg      helmexec.Config
	userHome bool
	verbose  bool
	opened   *helmexec.Helm
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "helmexec",
		Short: "Look at charts of strangers, check, install and remove them",
		Long: `helmexec drives helm for people and scripts around a benchmark: it shows what a chart would run,
decides whether it may, installs it exactly once, says why it is not ready, and removes it again.`,
		Example: `  helmexec info https://charts.example/suts/webapp:0.3.1
  helmexec check oci://registry.example/suts/inference:1.2.0 --registry registry.example --node nvidia.com/gpu=8
  helmexec plan job-42-sut-web ./web -o html > review.html
  helmexec job run jobs.yaml`,
		SilenceUsage: true, SilenceErrors: true,
		Version:           ownVersion(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.start(cmd) },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: "look", Title: "Look at a chart:"}, &cobra.Group{ID: "plan", Title: "Decide what runs:"},
		&cobra.Group{ID: "release", Title: "Work with releases:"}, &cobra.Group{ID: "job", Title: "Run jobs:"},
	)
	f := root.PersistentFlags()
	f.StringVar(&a.cfg.Binary, "helm", "", "`path` of helm, or its name on PATH (default helm)")
	f.StringVar(&a.cfg.MinVersion, "min-helm", "", "refuse a helm that is older than this `version`; for Helm 3 and 4 one each, such as v3.20.2,v4.1.4")
	f.StringVar(&a.cfg.Home, "home", "", "`folder` of repositories and archives (default helmexec in the user's cache)")
	f.BoolVar(&a.userHome, "user-home", false, "use helm's own repositories, log-ins and plugins")
	f.StringVar(&a.cfg.Kubeconfig, "kubeconfig", "", "kubeconfig `file` (default helm's choice)")
	f.StringVar(&a.cfg.KubeContext, "kube-context", "", "`context` of the kubeconfig")
	f.StringVarP(&a.cfg.Namespace, "namespace", "n", "", "`namespace` (default that of the kubeconfig)")
	f.StringVarP(&a.out.Format, "output", "o", "table", "`format`: table, json or yaml; plan has html too")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log each helm process")
	complete(root, "output", func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return formatsOf(cmd), withoutFiles
	})
	root.AddCommand(a.chartCommands()...)
	root.AddCommand(a.planCommands()...)
	root.AddCommand(a.releaseCommands()...)
	root.AddCommand(a.jobCommands()...)
	root.AddCommand(a.hostCommands()...)
	requireValues(root)
	withoutArguments(root)
	a.name = "helmexec"
	if a.plugin != nil {
		a.name = "helm sut"
		a.asPlugin(root)
	}
	return root
}

// withoutArguments keeps the shell from completing files where a command takes no arguments.
func withoutArguments(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && cmd.ValidateArgs([]string{"x"}) != nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range cmd.Commands() {
		withoutArguments(below)
	}
}

// say prints a line about the command itself.
func (a *app) say(format string, args ...any) { a.out.Say(a.name+": "+format, args...) }

// start checks what all commands share.
func (a *app) start(cmd *cobra.Command) error {
	if formats := formatsOf(cmd); !slices.Contains(formats, a.out.Format) {
		return fmt.Errorf("--output %.20q: want one of %s", a.out.Format, strings.Join(formats, ", "))
	}
	// Cobra does this too late for a command line that is not understood.
	if err := excluding(cmd); err != nil {
		return err
	}
	if err := a.configure(cmd); err != nil {
		return err
	}
	if a.verbose {
		a.cfg.Logger = slog.New(slog.NewTextHandler(sayer{a.out}, nil))
	}
	a.started.Store(true)
	return nil
}

// configure takes the flags that decide which helm, home and cluster there are.
func (a *app) configure(cmd *cobra.Command) error {
	if a.userHome {
		if a.cfg.Home != "" {
			return errors.New("--home and --user-home exclude each other")
		}
		a.cfg.Home = helmexec.UserHome
	}
	if a.plugin == nil {
		return nil
	}
	return a.configurePlugin(cmd)
}

// formatsOf are the formats that a command prints.
func formatsOf(cmd *cobra.Command) []string {
	formats := []string{"table", "json", "yaml"}
	if cmd.Name() == "plan" {
		formats = append(formats, "html")
	}
	return formats
}

// sayer prints lines of the log between those of the progress.
type sayer struct{ out *out.Printer }

func (s sayer) Write(text []byte) (int, error) {
	s.out.Say("%s", text)
	return len(text), nil
}

// helm is made when a command first needs it.
func (a *app) helm() (*helmexec.Helm, error) {
	if a.opened != nil {
		return a.opened, nil
	}
	h, err := helmexec.New(a.cfg)
	a.opened = h
	return h, err
}

// exactly is cobra.ExactArgs, with an error that says what the arguments are.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("want %s, and not %q", cmd.UseLine(), strings.Join(append([]string{cmd.CommandPath()}, args...), " "))
		}
		return nil
	}
}

// namespace names the one that a command looks at.
func (a *app) namespace() string {
	if a.cfg.Namespace == "" {
		return "the namespace of the kubeconfig"
	}
	return "namespace " + a.cfg.Namespace
}

// namespaceOf names the one that a plan is for.
func (a *app) namespaceOf(p *helmexec.Plan) string {
	if p.Namespace == "" {
		return a.namespace()
	}
	return "namespace " + p.Namespace
}

// searched says where a command that can search every namespace has searched.
func (a *app) searched(all bool) string {
	if all {
		return "any namespace"
	}
	return a.namespace() + "; -A searches every namespace"
}

// do is a command that needs helm.
func (a *app) do(run func(ctx context.Context, h *helmexec.Helm, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		h, err := a.helm()
		if err != nil {
			return err
		}
		return run(cmd.Context(), h, args)
	}
}
