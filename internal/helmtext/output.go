package helmtext

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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

// podLogs is the line before the log of a test: the name of its pod, and on Helm 4 that of its container.
var podLogs = pattern.New(`(?m)^POD LOGS: ([a-z0-9][-a-z0-9.]*)(?: \(([-a-z0-9]+)\))?\r?\n`)

// TestLogs are the logs that "helm test --logs" printed, by test and container, at most a number of bytes of the end of each. isTest
// says which names are those of tests: a log can contain a line like that before a log.
func TestLogs(out []byte, isTest func(string) bool, most int) map[string]map[string]string {
	all := map[string]map[string]string{}
	end := len(out)
	for _, at := range slices.Backward(podLogs().FindAllSubmatchIndex(out, -1)) {
		name, container := string(out[at[2]:at[3]]), ""
		if !isTest(name) {
			continue
		}
		if at[4] >= 0 {
			container = string(out[at[4]:at[5]])
		}
		log := bytes.TrimSuffix(out[at[1]:end], []byte("\n")) // which helm adds
		if all[name] == nil {
			all[name] = map[string]string{}
		}
		all[name][container] = string(log[max(0, len(log)-most):])
		end = at[0]
	}
	return all
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
