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

// PulledDigest is the digest of the manifest that helm prints for what it pulled from a registry, once for an archive and
// once more for its provenance. It is "" if there is none, or not the same each time.
func PulledDigest(said string) string {
	digest := ""
	for _, found := range pulledDigest().FindAllStringSubmatch(said, -1) {
		if digest != "" && digest != found[1] {
			return ""
		}
		digest = found[1]
	}
	return digest
}

var (
	verified = pattern.New(`(?m)^Using Key With Fingerprint: ([0-9A-F]{40,64})\r?\nChart Hash Verified: (sha256:[0-9a-f]{64})\r?\n?\z`)
	signedBy = pattern.New(`(?m)^Signed by: *(.*?)\r?$`)
	unsigned = pattern.New(`(?m)^WARNING: Verification not found for .*?: (.*?)\r?$`)
)

// Verified reads what "helm verify" prints: the key's fingerprint, the name of its owner, and the digest of the archive that
// was signed. All are "" if the end of the text is anything else.
func Verified(out string) (fingerprint, owner, digest string) {
	found := verified().FindStringSubmatch(out)
	if found == nil {
		return "", "", ""
	}
	if by := signedBy().FindStringSubmatch(out); by != nil {
		owner = by[1]
	}
	return found[1], owner, found[2]
}

// Unsigned is why a pull found no provenance, "" if helm does not say it.
func Unsigned(said string) string {
	if found := unsigned().FindStringSubmatch(said); found != nil {
		return found[1]
	}
	return ""
}

// maxTestContainers is of how many containers of a test the logs are kept: a log can contain lines that look like the beginning of
// another.
const maxTestContainers = 100

// TestLogs are the logs that "helm test --logs" printed, by test and container, at most a number of bytes of the end of each. Before
// each log helm prints one line: the name of the test, and on Helm 4 that of the container. It prints each once, so any further one
// is a line of a log.
func TestLogs(out []byte, tests []string, most int) map[string]map[string]string {
	const mark = "POD LOGS: "
	isTest := map[string]bool{}
	for _, name := range tests {
		isTest[name] = true
	}
	all := map[string]map[string]string{}
	var name, container string
	start := -1 // of the log that is open
	end := func(at int) {
		if start >= 0 {
			log := bytes.TrimSuffix(out[start:at], []byte("\n")) // which helm adds
			all[name][container] = string(log[max(0, len(log)-most):])
		}
	}
	for at := 0; at < len(out); {
		if !bytes.HasPrefix(out[at:], []byte(mark)) {
			next := bytes.Index(out[at:], []byte("\n"+mark))
			if next < 0 {
				break
			}
			at += next + 1
		}
		title, _, whole := bytes.Cut(out[at:], []byte("\n"))
		if !whole {
			break
		}
		after := at + len(title) + 1
		of, in, named := bytes.Cut(bytes.TrimSuffix(title[len(mark):], []byte("\r")), []byte(" ("))
		in, closed := bytes.CutSuffix(in, []byte(")"))
		if known := all[string(of)]; isTest[string(of)] && named == closed && len(known) < maxTestContainers && !(named && !isContainer(in)) {
			if _, again := known[string(in)]; !again {
				end(at)
				name, container, start = string(of), string(in), after
				if known == nil {
					all[name] = map[string]string{}
				}
				all[name][container] = ""
			}
		}
		at = after
	}
	end(len(out))
	return all
}

// isContainer reports whether a container can have this name.
func isContainer(name []byte) bool {
	return len(name) > 0 && len(name) <= 63 && len(bytes.Trim(name, "-abcdefghijklmnopqrstuvwxyz0123456789")) == 0
}

var lacksLogs = pattern.New(`(?m)^Error: unable to get (pod logs for|logs for pod|pod) `)

// LacksLogs reports whether helm failed because it could not get the logs of tests.
func LacksLogs(stderr string) bool { return lacksLogs().MatchString(stderr) }

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
