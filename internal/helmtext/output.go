package helmtext

import (
	"regexp"
	"strings"
)

var localFault = regexp.MustCompile(`no space left on device|disk quota exceeded|permission denied|read-only file system`)

// LocalFault reports whether helm could not write what it had fetched, which is a fault of this
// machine.
func LocalFault(stderr string) bool { return localFault.MatchString(stderr) }

// NamesChartFile reports whether a failed helm names a file of the chart.
func NamesChartFile(stderr, chart string) bool { return strings.Contains(stderr, chart+"/") }

var pushedDigest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// PushedDigest is the digest that helm prints for what it pushed, "" if there is none.
func PushedDigest(said string) string { return pushedDigest.FindString(said) }

// LintMessage is one finding of lint.
type LintMessage struct{ Severity, Path, Text string }

var lintLine = regexp.MustCompile(`^\[(INFO|WARNING|ERROR)\] ([^:]*): ?(.*)$`)

// LintMessages reads the findings that lint prints; a text can span several lines.
func LintMessages(out string) []LintMessage {
	var all []LintMessage
	open := false
	for _, line := range strings.Split(out, "\n") {
		m := lintLine.FindStringSubmatch(line)
		switch {
		case m != nil:
			all = append(all, LintMessage{m[1], m[2], m[3]})
			open = true
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "==>"):
			open = false
		case open:
			all[len(all)-1].Text += "\n" + line
		}
	}
	return all
}

var (
	sourceComment = regexp.MustCompile(`^(?:---\n|\n)?# Source: ([^\n]+)`)
	crdFile       = regexp.MustCompile(`^[^/]+(/charts/[^/]+)*/crds/`)
)

// SourceOf is the file of a chart that a document of helm template is from, as helm names it in a comment.
func SourceOf(document string) (file string, ok bool) {
	found := sourceComment.FindStringSubmatch(document)
	if found == nil {
		return "", false
	}
	return found[1], true
}

// IsCRDFile reports a file in the folder crds of a chart or a subchart.
func IsCRDFile(file string) bool { return crdFile.MatchString(file) }
