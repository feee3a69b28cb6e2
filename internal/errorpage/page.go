package main

import (
	"fmt"
	"regexp"
	"strings"
)

const introduction = `# Errors

<!-- written by "make docs" from the comments of the source: change those -->

Tell errors apart with ` + "`errors.Is`" + `, never by their text. A failed helm process is an ` + "`*Error`" + `: what it was given, how it ended,
and the end of what it said. A failed change of a release is a ` + "`*ReleaseError`" + `: the status of the release, why it is not ready
(` + "`Blockers`" + `), and what is left in the cluster (` + "`Remains`" + `). A call that is refused before helm starts gives neither. A failure
that none of these errors describes is only an ` + "`*Error`" + `, in helm's own words.

When your context ends, the error is also ` + "`context.Canceled` or `context.DeadlineExceeded`" + `. Then nobody but you can know whether to
call again.

**Retries.** ` + "`IsTransient`" + ` says whether the same call may soon succeed, of any error. Calls that change a release, and calls that
fetch charts, have tried again already when they return (` + "`Config.Retry`" + `). Calls that only read from the cluster, and ` + "`Template`" + `,
are made once.

`

// Page is docs/errors.md for the source in the folder root.
func Page(root string) (string, error) {
	s, err := read(root)
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(introduction)
	page.WriteString("| error | what it means | does a retry help? |\n|---|---|---|\n")
	for _, e := range s.sentinels {
		fmt.Fprintf(&page, "| [`%s`](#%s) | %s | %s |\n", e.name, strings.ToLower(e.name), code(first(e.meaning)), code(first(e.retry)))
	}
	for _, e := range s.sentinels {
		from := code(e.from)
		if calls := s.from(e.name); from == "" && len(calls) == 0 {
			return "", fmt.Errorf("no comment of a call names %s", e.name)
		} else if from == "" {
			from = "`" + strings.Join(calls, "`, `") + "`"
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n- **To do:** %s\n- **Retry:** %s\n- **From:** %s\n",
			e.name, code(sentence(e.meaning)), code(e.toDo), code(e.retry), from)
	}
	return page.String(), nil
}

// first is the first sentence, without its full stop.
func first(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	return strings.TrimSuffix(text, ".")
}

// sentence begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

var identifier = regexp.MustCompile(`\*?\b(Err[A-Z]\w+|[A-Z]\w*\.[A-Z]\w*(\.[A-Z]\w*)?|[A-Z]+[a-z]+[A-Z]\w*|AddRepo|Uninstall|UninstallJob|RenderOutput)\b`)

// code marks the names of the source in a sentence.
func code(text string) string { return identifier.ReplaceAllString(text, "`$0`") }
