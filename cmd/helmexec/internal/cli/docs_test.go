package cli

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/cmd/helmexec/internal/gate"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/job"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// documents are what the commands print, and the files that they read.
var documents = []struct {
	title    string
	document any
}{
	{"`info`", view.Chart{}},
	{"`images`", view.Images{}},
	{"`gpus`", view.GPUs{}},
	{"`retag`", view.Retag{}},
	{"`plan`", view.Plan{}},
	{"`check`", view.Check{}},
	{"`diff`", view.Diff{}},
	{"`install`, `apply`", view.Release{}},
	{"`list`", view.Releases{}},
	{"`why`", view.Why{}},
	{"`uninstall`", view.Removed{}},
	{"`name`", view.Name{}},
	{"`job clean`, `overdue`", view.Cleaned{}},
	{"`job run`, and the result file", job.Result{}},
	{"`doctor`", view.Doctor{}},
	{"`version`", view.Version{}},
	{"instead of a result: why the command failed", view.Failure{}},
}

const docPath = "../../../../docs/command.md"

// The documents and files in docs/command.md are those of the code.
func TestDocumentsAreDocumented(t *testing.T) {
	s := schema{known: map[reflect.Type]bool{reflect.TypeFor[gate.Policy](): true}} // which is among the files
	for _, d := range documents {
		s.table(d.title, reflect.TypeOf(d.document))
	}
	s.rest()
	var files schema
	files.table("A policy file", reflect.TypeFor[gate.Policy]())
	files.table("A job file", reflect.TypeFor[job.Spec]())
	files.rest()

	text, err := os.ReadFile(docPath)
	require.NoError(t, err)
	want := replaced(t, replaced(t, string(text), "documents", s.b.String()), "files", files.b.String())
	if *update {
		require.NoError(t, os.WriteFile(docPath, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(text), "go test -run TestDocumentsAreDocumented -update writes the tables again")
}

// replaced puts a text between the two marks of a name.
func replaced(t *testing.T, text, name, by string) string {
	begin, end := "<!-- "+name+": written by a test -->\n", "<!-- end of "+name+" -->"
	before, rest, found := strings.Cut(text, begin)
	require.True(t, found, begin)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found, end)
	return before + begin + by + end + after
}

// schema writes a table for each type.
type schema struct {
	b     strings.Builder
	known map[reflect.Type]bool
	later []reflect.Type
}

func (s *schema) table(title string, of reflect.Type) {
	if s.known == nil {
		s.known = map[reflect.Type]bool{}
	}
	s.known[of] = true
	fmt.Fprintf(&s.b, "\n### %s\n\n| field | type | |\n|---|---|---|\n", title)
	s.fields(of)
}

func (s *schema) fields(of reflect.Type) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous {
			s.fields(f.Type)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() {
			continue
		}
		if name == "" || f.Tag.Get("doc") == "" {
			panic(of.String() + "." + f.Name + " has no name or no doc")
		}
		kind := s.kind(f.Type)
		if options != "" {
			kind += ", optional"
		}
		fmt.Fprintf(&s.b, "| `%s` | %s | %s |\n", name, kind, f.Tag.Get("doc"))
	}
}

func (s *schema) kind(of reflect.Type) string {
	switch of.Kind() {
	case reflect.Pointer:
		return s.kind(of.Elem())
	case reflect.Slice:
		return "list of " + s.kind(of.Elem())
	case reflect.Map:
		return "map of " + s.kind(of.Elem())
	case reflect.Struct:
		s.later = append(s.later, of)
		return of.Name()
	case reflect.Interface:
		return "any"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "boolean"
	}
	if of == reflect.TypeFor[job.Duration]() {
		return "time such as 10m"
	}
	return "number"
}

// rest writes the types that others refer to.
func (s *schema) rest() {
	for len(s.later) > 0 {
		next := s.later[0]
		s.later = s.later[1:]
		if !s.known[next] {
			s.table(next.Name(), next)
		}
	}
	s.b.WriteByte('\n')
}

// commandsOf are the commands that do something.
func commandsOf(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	if cmd.Runnable() && !cmd.HasSubCommands() {
		all = append(all, cmd)
	}
	for _, below := range cmd.Commands() {
		all = append(all, commandsOf(below)...)
	}
	return all
}

func TestHelp(t *testing.T) {
	doc, err := os.ReadFile(docPath)
	require.NoError(t, err)
	root := (&app{out: &out.Printer{}}).root()
	for _, cmd := range commandsOf(root) {
		assert.NotEmpty(t, cmd.Short, cmd.CommandPath())
		assert.Contains(t, string(doc), "`"+strings.TrimPrefix(cmd.UseLine(), "helmexec "), cmd.CommandPath())
		require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		for line := range strings.Lines(cmd.Example) {
			words := wordsOf(line)
			require.Equal(t, "helmexec", words[0])
			// A new one, since flags remember their values.
			found, rest, err := (&app{out: &out.Printer{}}).root().Find(words[1:])
			require.NoError(t, err, line)
			assert.Equal(t, cmd.CommandPath(), found.CommandPath(), line)
			require.NoError(t, found.ParseFlags(rest), line)
			assert.NoError(t, found.ValidateArgs(found.Flags().Args()), line)
		}
	}
	b := newBench(t)
	for _, args := range [][]string{{"--help"}, {"install", "--help"}, {"job", "run", "--help"}} {
		got := b.run(args...)
		assert.Equal(t, 0, got.code)
		assert.Contains(t, got.stdout, "Examples:")
	}
}

// The help of check shows a policy file that can be read, with all fields; that of job run names all fields of a job file.
func TestHelpOfFiles(t *testing.T) {
	help := map[string]string{}
	for _, cmd := range commandsOf((&app{out: &out.Printer{}}).root()) {
		help[cmd.CommandPath()] = cmd.Long
	}
	var shown strings.Builder
	for line := range strings.Lines(help["helmexec check"]) {
		if text, is := strings.CutPrefix(line, "  "); is {
			shown.WriteString(text)
		}
	}
	_, err := gate.Load(newBench(t).write("lab.yaml", shown.String()))
	require.NoError(t, err)
	for _, of := range []reflect.Type{reflect.TypeFor[gate.Policy](), reflect.TypeFor[gate.Limits]()} {
		for _, name := range namesOf(of) {
			assert.Contains(t, shown.String(), name+": ", of.String())
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[job.Spec](), reflect.TypeFor[job.SUT]()} {
		for _, name := range namesOf(of) {
			assert.Regexp(t, `\b`+name+`\b`, help["helmexec job run"], of.String())
		}
	}
}

// namesOf are the fields of a file.
func namesOf(of reflect.Type) []string {
	var all []string
	for i := range of.NumField() {
		if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// wordsOf splits a line as a shell does, up to where another command or a comment begins.
func wordsOf(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range strings.TrimSpace(line) + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case strings.ContainsRune("|>#&", r):
			return words
		case r != ' ':
			begun = true
			word.WriteRune(r)
		case begun:
			words = append(words, word.String())
			word.Reset()
			begun = false
		}
	}
	return words
}
