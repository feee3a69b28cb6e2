package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is a command line that is not understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// understood returns an error if a word of a command line is no command where only a command can stand. Cobra itself finds
// that for the first word; below a group of commands it shows help instead, and reports success.
func understood(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	// Otherwise cobra takes the word behind --help or --version for the value of the flag.
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	for _, cmd := range root.Commands() {
		cmd.InitDefaultHelpFlag()
		switch cmd.Name() {
		case "help":
			cmd.Args = aCommand
		case "completion":
			// A shell would run the help that cobra prints in place of a completion.
			cmd.Use, cmd.RunE = "completion SHELL", wantsShell
		}
	}
	cmd, rest, err := root.Find(args)
	if err != nil || !cmd.HasSubCommands() {
		return nil // cobra reports it, or the command checks its arguments
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return nil // cobra reports it
	}
	words := cmd.Flags().Args()
	err = cobra.NoArgs(cmd, words)
	if err == nil {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // as cobra sets it for the first word
	if meant := cmd.SuggestionsFor(words[0]); len(meant) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(meant, " or "))
	}
	return err
}

// aCommand accepts the words of a command.
func aCommand(help *cobra.Command, args []string) error {
	cmd, rest, err := help.Root().Find(args)
	if err != nil {
		return err
	}
	return cobra.NoArgs(cmd, rest)
}

// wantsShell is the command completion without the name of a shell.
func wantsShell(cmd *cobra.Command, _ []string) error {
	var shells []string
	for _, shell := range cmd.Commands() {
		shells = append(shells, shell.Name())
	}
	return usageError{fmt.Errorf("want %s SHELL, one of %s", cmd.CommandPath(), strings.Join(shells, ", "))}
}

// formatOf is the format that a command line asks for which is not understood.
func formatOf(args []string) string {
	var format string
	flags := new(cobra.Command).Flags()
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.StringVarP(&format, "output", "o", "", "")
	_ = flags.Parse(args)
	return format
}
