package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// use is a flag as the library gives it to a command, with its value.
type use struct{ command, flag string }

// flags are what the library uses, by the major version of the Helm that it is for: "v3", "v4".
type flags map[string][]use

// add adds the flags of a command line, the words behind "helm".
func (f flags) add(major string, words []string) {
	for _, u := range usesOf(words) {
		same := func(other use) bool { return other.command == u.command && shape(other.flag) == shape(u.flag) }
		if !slices.ContainsFunc(f[major], same) {
			f[major] = append(f[major], u)
		}
	}
}

// readFlags reads the recorded command lines of the library, testdata/argv.
func readFlags(folder string) (flags, error) {
	files, err := filepath.Glob(filepath.Join(folder, "v*.txt"))
	if err != nil {
		return nil, err
	}
	all := flags{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if words, found := strings.CutPrefix(line, "helm "); found {
				all.add(filepath.Base(file)[:2], strings.Fields(words))
			}
		}
	}
	if len(all["v3"]) == 0 || len(all["v4"]) == 0 {
		return nil, errors.New(folder + " has no recorded command lines")
	}
	return all, nil
}

// usesOf are the flags of a command line: "get all --output=json -- web".
func usesOf(words []string) []use {
	var command []string
	var uses []use
	for _, word := range words {
		switch {
		case word == "--":
			return uses
		case strings.HasPrefix(word, "--"):
			uses = append(uses, use{strings.Join(command, " "), word})
		case len(uses) == 0:
			command = append(command, word)
		}
	}
	return uses
}

// shape is a flag with its value, if that is a word of Helm's own, such as --wait=legacy.
func shape(flag string) string {
	name, value, _ := strings.Cut(flag, "=")
	if slices.Contains([]string{"--cascade", "--dry-run", "--output", "--wait"}, name) && value != "" {
		return name + "=" + value
	}
	return name
}

// unknownTo lists the uses that a Helm refuses. All flags of a command are tried at once, and one by one only if it
// refuses any.
func (f flags) unknownTo(ctx context.Context, version, binary string) ([]use, error) {
	byCommand := map[string][]use{}
	for _, u := range f[version[:2]] {
		byCommand[u.command] = append(byCommand[u.command], u)
	}
	var unknown []use
	for _, uses := range byCommand {
		refused, err := refuses(ctx, binary, uses)
		for i := 0; refused && i < len(uses) && err == nil; i++ {
			var one bool
			if one, err = refuses(ctx, binary, uses[i:i+1]); one {
				unknown = append(unknown, uses[i])
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

// refuses reports whether a Helm does not know a flag, or its value. If it knows them all, it prints its help.
func refuses(ctx context.Context, binary string, uses []use) (bool, error) {
	args := strings.Fields(uses[0].command)
	for _, u := range uses {
		args = append(args, u.flag)
	}
	out, err := exec.CommandContext(ctx, binary, append(args, "--help")...).CombinedOutput()
	said := string(out)
	if err != nil && !strings.Contains(said, "unknown flag") && !strings.Contains(said, "invalid argument") {
		return false, fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return err != nil, nil
}

// seen is a logger's handler that adds the flags of every helm process that the library starts.
type seen struct {
	slog.Handler
	flags flags
	major string
}

var adding sync.Mutex

func (s seen) Handle(_ context.Context, r slog.Record) error {
	adding.Lock()
	defer adding.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if words, ok := a.Value.Any().([]string); ok && a.Key == "args" {
			s.flags.add(s.major, words)
		}
		return true
	})
	return nil
}

func (s seen) Enabled(context.Context, slog.Level) bool { return true }
