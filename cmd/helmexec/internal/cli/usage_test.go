package cli

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// A script whose variable is not set gives an empty text. No flag takes it for what the command does without the flag.
func TestEmptyFlags(t *testing.T) {
	_, others := wordsBelow(tree(t, nil))
	tested := 0
	for _, words := range others {
		cmd, _, err := tree(t, nil).Find(words)
		require.NoError(t, err)
		cmd.InheritedFlags() // adds them to Flags
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.NoOptDefVal != "" || f.Name == "set" || f.Name == "set-string" {
				return // without a value, or as for helm
			}
			for _, empty := range []string{"", " "} {
				tested++
				b := newBench(t)
				got := b.run(append(slices.Clone(words), "--"+f.Name+"="+empty)...)
				assert.Equal(t, 2, got.code, "%q --%s=%q", words, f.Name, empty)
				assert.Contains(t, got.stderr, "--"+f.Name, "%q", words)
				assert.Contains(t, got.stderr, "--help shows how it is used", "%q", words)
				assert.Empty(t, b.fake.Calls())
			}
		})
	}
	assert.Greater(t, tested, 300)
}

// What a saved plan has decided is not asked for again.
func TestFromReplacesFlags(t *testing.T) {
	for _, words := range []string{"plan", "check", "diff"} {
		for _, flag := range []string{"--version=1", "--values=x.yaml", "--set=a=b", "--set-string=a=b", "--set-file=a=b", "--ca-file=x", "--plain-http", "--lookups", "--skip-crds", "--kube-version=1.30", "--api-versions=v1"} {
			got := newBench(t).run(words, "--from=plan.json", flag)
			assert.Equal(t, 2, got.code, "%s %s", words, flag)
			assert.Contains(t, got.stderr, "--from takes the place of "+strings.Split(flag, "=")[0])
		}
	}
	b := newBench(t)
	saved(b)
	assert.Zero(t, b.run("plan", "--from", b.dir+"/plan.json", "--offline", "--registry=registry.example").code)
}

// A mistake is said in the words of the command line.
func TestUsageAdvises(t *testing.T) {
	for line, want := range map[string]string{
		"job runn jobs.yaml":                         `unknown command "runn" for "helmexec job"; did you mean run?`,
		"job run jobs.yaml --index one":              `--index "one": want a number`,
		"check ./a --offline=maybe":                  `--offline "maybe": want true or false`,
		"job run j.yaml --index 9999999999999999999": "the number is too large",
		"retag ./a --mirror a.b=c.d --manifest -":    "--manifest -: want a file",
		"install a ./a --min-helm new":               `--min-helm "new": "new" is not a version`,
	} {
		b := newBench(t)
		got := b.run(strings.Fields(strings.ReplaceAll(line, "./a", filepath.Join(testdata(t), "plain")))...)
		assert.NotZero(t, got.code, line)
		assert.Contains(t, got.stderr, want, line)
		assert.NotContains(t, got.stderr, "strconv", line)
	}
}
