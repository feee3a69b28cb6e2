package helmtext

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

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

// crdHeader is what helm template prints before each file of a folder crds.
var crdHeader = pattern.New(`^---\n# Source: [^/\n]+(/charts/[^/\n]+)*/crds/[^\n]+\n`)

// CRDsIn takes the files of the folders crds out of what helm template prints, which prints them first. The files are all
// that the chart and its subcharts have there, since a file can contain what looks like the beginning of the next one. An
// error says that it cannot be told which of them helm has printed.
func CRDsIn(out []byte, files [][]byte) (crds []byte, err error) {
	for {
		header := crdHeader().Find(out)
		if header == nil {
			return crds, nil
		}
		out = out[len(header):]
		printed := -1
		for _, file := range files {
			switch n := printedAs(out, file); {
			case n < 0 || n == printed:
			case printed >= 0:
				return nil, errors.New("crds: one file begins with another and with a line as helm writes it between files, # Source: …")
			default:
				printed = n
			}
		}
		if printed < 0 {
			return nil, fmt.Errorf("crds: helm has printed %s, but the chart has no such file", bytes.TrimSpace(header[len("---\n# Source: "):]))
		}
		crds = append(append(append(crds, header...), out[:printed]...), '\n')
		out = bytes.TrimPrefix(out[printed:], []byte("\n"))
	}
}

// printedAs returns how much of what helm has printed is this file, -1 for none. At the end of all helm omits spaces.
func printedAs(out, file []byte) int {
	if rest, ok := bytes.CutPrefix(out, file); ok && (len(rest) == 0 || bytes.HasPrefix(rest, []byte("\n---\n# Source: "))) {
		return len(file)
	}
	if bytes.Equal(bytes.TrimRightFunc(out, unicode.IsSpace), bytes.TrimRightFunc(file, unicode.IsSpace)) {
		return len(out)
	}
	return -1
}
