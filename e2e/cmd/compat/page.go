package main

import (
	"fmt"
	"slices"
	"strings"
)

// result is what one Helm did.
type result struct {
	version  string
	outcomes map[string]outcome
	unknown  []use
}

const introduction = `# Versions of Helm

<!-- written by make compat -->

The library works with Helm v3.14 and v4.0 and later. Every change is tested with the newest Helm 3 and 4; ` + "`make compat`" + ` makes
each call with older ones, too, on a real API server, chart repository and OCI registry, and wrote this page from what they
did: "yes" is a call that did what its comment says, and "–" one that needs another call that did not.

`

// page is docs/compatibility.md.
func page(results []result) string {
	var p strings.Builder
	p.WriteString(introduction)
	p.WriteString("## Calls\n\n| call |")
	for _, r := range results {
		p.WriteString(" " + r.version + " |")
	}
	p.WriteString("\n|---|" + strings.Repeat("---|", len(results)) + "\n")
	var notes []outcome
	for _, t := range trials {
		fmt.Fprintf(&p, "| %s |", named(t.call))
		for _, r := range results {
			cell := "yes"
			switch went := r.outcomes[t.call]; {
			case went == notTried:
				cell = "–"
			case went != "":
				if !slices.Contains(notes, went) {
					notes = append(notes, went)
				}
				cell = fmt.Sprintf("no (%d)", slices.Index(notes, went)+1)
			}
			p.WriteString(" " + cell + " |")
		}
		p.WriteString("\n")
	}
	for i, note := range notes {
		fmt.Fprintf(&p, "\n(%d) `%s`\n", i+1, strings.ReplaceAll(string(note), "`", "'"))
	}
	p.WriteString("\n## Flags\n\nThe library starts helm with these flags, which some versions do not know.\n\n| flag | commands | lacking in |\n|---|---|---|\n")
	for _, row := range lacking(results) {
		fmt.Fprintf(&p, "| `%s` | %s | %s |\n", row.flag, row.commands, row.versions)
	}
	return p.String()
}

type lack struct{ flag, commands, versions string }

// lacking lists the flags that at least one Helm refuses, and the commands that lack each in the same versions.
func lacking(results []result) []lack {
	in := map[use][]string{}
	for _, r := range results {
		for _, u := range r.unknown {
			u.flag = shape(u.flag)
			in[u] = append(in[u], r.version)
		}
	}
	commands := map[[2]string][]string{}
	for u, versions := range in {
		key := [2]string{u.flag, strings.Join(versions, ", ")}
		commands[key] = append(commands[key], "`"+u.command+"`")
	}
	var rows []lack
	for key, names := range commands {
		slices.Sort(names)
		rows = append(rows, lack{key[0], strings.Join(names, ", "), key[1]})
	}
	slices.SortFunc(rows, func(a, b lack) int { return strings.Compare(a.flag+a.versions, b.flag+b.versions) })
	return rows
}

// named marks the names of the source in what a trial is called.
func named(call string) string {
	words := strings.Fields(call)
	for i, word := range words {
		if strings.ToLower(word) != word {
			words[i] = "`" + word + "`"
		}
	}
	return strings.Join(words, " ")
}
