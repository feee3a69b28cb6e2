package argument

import (
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
)

var (
	commandWord = pattern.New(`^[a-z]+$`)
	flagWord    = pattern.New(`^--[a-z][-a-z0-9]*(=|$)`)
	extraWord   = pattern.New(`(?s)^--([a-z][-a-z0-9]*)=.*$`)
)

// groups are the commands that have commands.
var groups = []string{"get", "repo", "registry", "dependency"}

// Line is the last check of a whole command line: the command, then flags as one word each, then everything else
// behind "--". So no text can be taken for a flag, and no flag takes the next word as its value.
func Line(words []string) error {
	positional, commands := false, 0
	for i, word := range words {
		if strings.ContainsRune(word, 0) {
			return errdef.Invalidf("argument %d of helm %s has a NUL character", i+1, words[0])
		}
		switch {
		case positional:
			if word == "" {
				return errdef.Invalidf("argument %d of helm %s is empty", i+1, words[0])
			}
		case word == "--" && commands > 0:
			positional = true
		case i == commands && (i == 0 || i == 1 && slices.Contains(groups, words[0])) && commandWord().MatchString(word):
			commands++
		case commands == 0 || !flagWord().MatchString(word):
			return errdef.Invalidf("argument %d of helm %s, %.80q, is not a flag", i+1, words[0], word)
		}
	}
	return nil
}

// ours are the flags that this library sets, or for which it has an option, and those that lead helm to another
// cluster, home or program, or hide Secrets from a plan, which would then lack them. A '*' at the end stands for anything.
var ours = []string{
	"api-versions", "atomic", "ca-file", "cascade", "cert-file", "content-cache", "create-namespace", "debug",
	"dependency-update", "description", "devel", "dry-run", "filter", "generate-name", "help", "hide-secret", "ignore-not-found",
	"include-crds", "insecure-skip-tls-verify", "install", "is-upgrade", "keep-history", "key-file", "keyring", "kube-*",
	"kubeconfig", "labels", "logs", "name-template", "namespace", "no-hooks", "output", "output-dir", "pass-credentials",
	"password", "plain-http", "post-renderer*", "registry-config", "release-name", "replace", "repo", "repository-*",
	"reset-*", "reuse-values", "revision", "rollback-on-failure", "set", "set-*", "skip-*", "strict", "timeout",
	"username", "validate", "values", "verify", "version", "wait*",
}

// Extra accepts flags for which there is no option, each as one word "--flag=value", a switch as "--flag=true". Without
// a value a flag would take the next word as one. They stand before ours, so that helm would follow ours if a new flag
// of it meant the same.
func Extra(words []string) error {
	for _, word := range words {
		match := extraWord().FindStringSubmatch(word)
		if match == nil || strings.ContainsRune(word, 0) {
			return errdef.Invalidf("ExtraArgs: %.80q: want one word for each flag, --flag=value, and --flag=true for a switch", word)
		}
		if slices.ContainsFunc(ours, func(entry string) bool {
			prefix, any := strings.CutSuffix(entry, "*")
			return match[1] == entry || any && strings.HasPrefix(match[1], prefix)
		}) {
			return errdef.Invalidf("ExtraArgs: --%s is set by this library: use the options of the call, or Config", match[1])
		}
	}
	return nil
}
