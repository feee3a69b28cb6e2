// Package pages reads the documentation of this source tree, so that tests can run its commands and compile its code.
package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Block is a code block of a page.
type Block struct {
	Page     string // its path from the top folder
	Line     int    // of its first line
	Language string // "" if the page does not say it
	Text     string
}

// Page is a page of the documentation.
type Page struct {
	Path     string
	Headings []string // with their marks: "## Use it"
	Blocks   []Block
	Spans    []string // code within sentences
}

// Read reads the pages in the folder root: all of the top folder but the changelog, and those of docs.
func Read(root string) ([]Page, error) {
	var paths []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	var pages []Page
	for _, path := range paths {
		if filepath.Base(path) == "CHANGELOG.md" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return nil, err
		}
		pages = append(pages, parse(filepath.ToSlash(relative), string(text)))
	}
	return pages, nil
}

var span = regexp.MustCompile("`([^`]+)`")

// parse reads a page: its code blocks are fenced, or indented by four blanks behind an empty line.
func parse(path, text string) Page {
	page := Page{Path: path}
	var block *Block
	var prose strings.Builder
	end := func() {
		if block != nil {
			block.Text = strings.TrimRight(block.Text, "\n") + "\n"
			page.Blocks = append(page.Blocks, *block)
			block = nil
		}
	}
	fenced, empty := false, true
	for i, line := range strings.Split(text, "\n") {
		indented := !fenced && strings.HasPrefix(line, "    ") && (empty || block != nil)
		switch fence, mark := strings.CutPrefix(line, "```"); {
		case mark && fenced:
			fenced = false
			end()
		case mark:
			end()
			fenced, block = true, &Block{Page: path, Line: i + 2, Language: fence}
		case fenced:
			block.Text += line + "\n"
		case block != nil && strings.TrimSpace(line) == "":
			block.Text += "\n"
		case indented:
			if block == nil {
				block = &Block{Page: path, Line: i + 1}
			}
			block.Text += line[4:] + "\n"
		default:
			end()
			prose.WriteString(line + "\n")
			if strings.HasPrefix(line, "#") {
				page.Headings = append(page.Headings, line)
			}
		}
		empty = strings.TrimSpace(line) == ""
	}
	end()
	for _, match := range span.FindAllStringSubmatch(prose.String(), -1) {
		page.Spans = append(page.Spans, strings.Join(strings.Fields(match[1]), " "))
	}
	return page
}

var (
	comment = regexp.MustCompile(`(^| +)# .*`)
	// A block whose first line calls one of these programs is one of commands, and so is a span with arguments.
	command = regexp.MustCompile(`^(\$ )?([A-Z_]+=\S+ )*(make|go|git|cd|helm|helmexec|fleet|kubectl|curl|sudo|export|bin/\S+|examples/\S+) \S`)
)

// Commands are the lines of a page for a shell: those of its blocks without a language, of those for a shell, and of its
// sentences.
func (p Page) Commands() []string {
	var all []string
	for _, b := range p.Blocks {
		if !slices.Contains([]string{"", "sh", "bash", "shell", "console"}, b.Language) || !command.MatchString(b.Text) {
			continue
		}
		for line := range strings.Lines(b.Text) {
			line = strings.TrimPrefix(strings.TrimSpace(comment.ReplaceAllString(line, "")), "$ ")
			if line != "" {
				all = append(all, line)
			}
		}
	}
	for _, s := range p.Spans {
		if command.MatchString(s) {
			all = append(all, s)
		}
	}
	return all
}
