package helmtest

import (
	"cmp"
	"slices"
	"strings"
)

// Call is one run of the executable.
type Call struct {
	Args  []string          // without the name of the program
	Env   map[string]string // all of its environment
	Stdin string
	Dir   string // the working directory
	Pid   int
}

// Command is the words before the first flag or argument after "--": "install", "repo add". An install or upgrade that
// changes nothing is "dry-run install" or "dry-run upgrade".
func (c Call) Command() string {
	words := c.Args
	if i := slices.IndexFunc(words, func(a string) bool { return strings.HasPrefix(a, "-") }); i >= 0 {
		words = words[:i]
	}
	command := strings.Join(words, " ")
	if (command == "install" || command == "upgrade") && c.Flag("--dry-run") != "" {
		return "dry-run " + command
	}
	return command
}

// Flag is the value of the last --name=value, "true" for a bare --name, "" without it.
func (c Call) Flag(name string) string {
	value := ""
	for _, a := range c.Args {
		if a == "--" {
			break
		}
		if a == name {
			value = "true"
		} else if v, ok := strings.CutPrefix(a, name+"="); ok {
			value = v
		}
	}
	return value
}

// Arg is the positional argument number i, from 0, "" if there are fewer. All of them are after
// "--".
func (c Call) Arg(i int) string {
	for at, a := range c.Args {
		if a == "--" && at+1+i < len(c.Args) {
			return c.Args[at+1+i]
		}
	}
	return ""
}

func (c Call) is(command string) bool {
	return c.Command() == command || strings.HasPrefix(c.Command(), command+" ")
}

// pending is the status of a release while helm works on it.
func (c Call) pending() string { return "pending-" + c.Command() }

func (c Call) key() string       { return key(c.Flag("--namespace"), c.Arg(0)) }
func (c Call) namespace() string { return cmp.Or(c.Flag("--namespace"), "default") }
func (c Call) waits() bool       { return c.Flag("--wait") != "" }
func (c Call) changes() bool     { return c.Command() == "install" || c.Command() == "upgrade" }
