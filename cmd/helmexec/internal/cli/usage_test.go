package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
)

// tree is the whole command, with what cobra adds to it.
func tree(t *testing.T, plugin *Plugin) *cobra.Command {
	root := (&app{out: &out.Printer{}, plugin: plugin}).root()
	require.NoError(t, understood(root, nil))
	return root
}

// wordsBelow are the words of each command: those of groups, which have commands below them, and of the others.
func wordsBelow(cmd *cobra.Command) (groups, others [][]string) {
	for _, below := range cmd.Commands() {
		words := strings.Fields(below.CommandPath())[len(strings.Fields(cmd.Root().CommandPath())):]
		if !below.HasSubCommands() {
			others = append(others, words)
			continue
		}
		moreGroups, moreOthers := wordsBelow(below)
		groups = append(append(groups, words), moreGroups...)
		others = append(others, moreOthers...)
	}
	return groups, others
}

// No word too many is a success, anywhere in the tree.
func TestUsage(t *testing.T) {
	for name, plugin := range map[string]*Plugin{"command": nil, "plugin": {Namespace: "of-helm"}} {
		t.Run(name, func(t *testing.T) {
			groups, others := wordsBelow(tree(t, plugin))
			require.Contains(t, groups, []string{"job"})
			require.Contains(t, others, []string{"job", "clean"})
			require.Contains(t, others, []string{"help"})
			if plugin == nil {
				require.Contains(t, groups, []string{"completion"})
				require.Contains(t, others, []string{"completion", "bash"})
			}
			var wrong [][]string
			for _, words := range append(groups, nil) {
				wrong = append(wrong, slices.Concat(words, []string{"misspelt"}), slices.Concat(words, []string{"misspelt", "--help"}),
					slices.Concat(words, []string{"-n", "bench", "misspelt"}), slices.Concat(words, []string{"--misspelt"}), slices.Concat([]string{"help"}, words, []string{"misspelt"}))
			}
			for _, words := range others {
				wrong = append(wrong, append(slices.Clone(words), "surplus", "surplus", "surplus", "surplus"), append(slices.Clone(words), "--misspelt"),
					slices.Concat([]string{"help"}, words, []string{"surplus"}))
			}
			for _, args := range wrong {
				b := newBench(t)
				b.plugin = plugin
				got := b.run(args...)
				assert.Equal(t, 2, got.code, "%q", args)
				assert.Empty(t, got.stdout, "%q", args)
				assert.Contains(t, got.stderr, "--help shows how it is used", "%q", args)
				assert.Empty(t, b.fake.Calls(), "%q", args)
			}
		})
	}
}

// The command, and a group of commands, show their help, alone or with the words of a command behind "help".
func TestHelpOfGroups(t *testing.T) {
	b := newBench(t)
	groups, others := wordsBelow(tree(t, nil))
	right := [][]string{{}, {"--help"}, {"help"}, {"job"}, {"job", "--help"}}
	for _, words := range slices.Concat(groups, others) {
		right = append(right, append(slices.Clone(words), "--help"), append([]string{"help"}, words...), append([]string{"-h"}, words...),
			slices.Insert(slices.Clone(words), len(words)-1, "--help"))
	}
	for _, args := range right {
		got := b.run(args...)
		assert.Equal(t, 0, got.code, "%q", args)
		assert.Contains(t, got.stdout, "Usage:", "%q", args)
		if last := args[max(len(args)-1, 0):]; len(args) > 1 && !strings.HasPrefix(last[0], "-") {
			assert.Regexp(t, `Usage:\n  helmexec .*`+last[0]+`\b`, got.stdout, "%q", args)
		}
		assert.Empty(t, got.stderr, "%q", args)
	}
}

// What is no completion is nothing that a shell would run.
func TestCompletionWithoutShell(t *testing.T) {
	got := newBench(t).run("completion")
	assert.Equal(t, outcome{2, "", "helmexec: want helmexec completion SHELL, one of bash, fish, powershell, zsh\nhelmexec: --help shows how it is used\n"}, got)
}
