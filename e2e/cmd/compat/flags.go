package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// use is a flag as the library gives it to a command, with its value.
type use struct{ command, flag string }

// flags are what the library uses, by the major version of the Helm that it is for: "v3", "v4".
type flags map[string][]use

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
		major := filepath.Base(file)[:2]
		for line := range strings.Lines(string(text)) {
			for _, u := range usesOf(strings.TrimSpace(line)) {
				same := func(other use) bool { return other.command == u.command && shape(other.flag) == shape(u.flag) }
				if !slices.ContainsFunc(all[major], same) {
					all[major] = append(all[major], u)
				}
			}
		}
	}
	if len(all["v3"]) == 0 || len(all["v4"]) == 0 {
		return nil, errors.New(folder + " has no recorded command lines")
	}
	return all, nil
}

var option = regexp.MustCompile(` (--[a-z0-9-]+)(=\S*)?`)

// usesOf are the flags of a recorded command line.
func usesOf(line string) []use {
	line, found := strings.CutPrefix(line, "helm ")
	if !found {
		return nil
	}
	line, _, _ = strings.Cut(line, " -- ")
	command, _, _ := strings.Cut(line, " --")
	var uses []use
	for _, match := range option.FindAllStringSubmatch(strings.TrimPrefix(line, command), -1) {
		uses = append(uses, use{command, match[1] + match[2]})
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

// unknownTo lists the uses that a Helm refuses. A Helm that knows a flag prints its help.
func (f flags) unknownTo(ctx context.Context, version, binary string) ([]use, error) {
	var unknown []use
	for _, u := range f[version[:2]] {
		args := append(strings.Fields(u.command), u.flag, "--help")
		out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
		switch said := string(out); {
		case err == nil:
		case strings.Contains(said, "unknown flag") || strings.Contains(said, "invalid argument"):
			unknown = append(unknown, u)
		default:
			return nil, fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, said)
		}
	}
	return unknown, nil
}
