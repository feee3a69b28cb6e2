package helmtext

import (
	"bytes"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
)

var localFault = pattern.New(`no space left on device|disk quota exceeded|permission denied|read-only file system`)

// LocalFault reports whether helm could not write what it had fetched, which is a fault of this
// machine.
func LocalFault(stderr string) bool { return localFault().MatchString(stderr) }

// NamesChartFile reports whether a failed helm names a file of the chart.
func NamesChartFile(stderr, chart string) bool { return strings.Contains(stderr, chart+"/") }

var pushedDigest = pattern.New(`sha256:[0-9a-f]{64}`)

// PushedDigest is the digest that helm prints for what it pushed, "" if there is none.
func PushedDigest(said string) string { return pushedDigest().FindString(said) }

var pulledDigest = pattern.New(`(?m)^Digest: (sha256:[0-9a-f]{64})\r?$`)

// PulledDigest is the digest of the manifest that helm prints for what it pulled from a registry, "" if there is none,
// or more than one.
func PulledDigest(said string) string {
	found := pulledDigest().FindAllStringSubmatch(said, 2)
	if len(found) != 1 {
		return ""
	}
	return found[0][1]
}

// LintMessage is one finding of lint.
type LintMessage struct{ Severity, Path, Text string }

var lintLine = pattern.New(`^\[(INFO|WARNING|ERROR)\] ([^:]*): ?(.*)$`)

// LintMessages reads the findings that lint prints; a text can span several lines.
func LintMessages(out string) []LintMessage {
	var all []LintMessage
	open := false
	for _, line := range strings.Split(out, "\n") {
		m := lintLine().FindStringSubmatch(line)
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
	sourceComment = pattern.New(`^(?:---\n|\n)?# Source: ([^\n]+)`)
	crdFile       = pattern.New(`^[^/]+(/charts/[^/]+)*/crds/`)
)

// MarksSource reports whether a file has such a comment itself, at the beginning of a line.
func MarksSource(file []byte) bool {
	return bytes.HasPrefix(file, sourceMark) || bytes.Contains(file, append([]byte("\n"), sourceMark...))
}

var sourceMark = []byte("# Source: ")

// CRDsIn takes the files of the folders crds out of what helm template prints. It prints them first.
func CRDsIn(out []byte) (crds []byte) {
	for _, document := range strings.Split("\n"+string(out), "\n---\n")[1:] {
		if found := sourceComment().FindStringSubmatch(document); found != nil && !crdFile().MatchString(found[1]) { // once a file
			break
		}
		crds = append(append(crds, "---\n"+document...), '\n')
	}
	return crds
}
