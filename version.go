package helmexec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/binary"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// The oldest supported versions: v3.14 is the first with all the flags used here, v4.0 the first of
// Helm 4.
var (
	oldest3 = semver.New(3, 14, 0, "", "")
	oldest4 = semver.New(4, 0, 0, "", "")
)

// Version is the version of the helm binary.
type Version struct {
	Major, Minor, Patch int
	Text                string // as helm prints it, "v4.3.1"
}

func (v Version) String() string { return v.Text }

func (h *Helm) dialect(ctx context.Context) (helmtext.Dialect, error) {
	v, err := h.identified(ctx)
	if err != nil {
		return helmtext.Dialect{}, err
	}
	return helmtext.DialectOf(v.Major), nil
}

// probeTime is how long helm may take to print its version, also on a busy host.
const probeTime = time.Minute

var errNoAnswer = fmt.Errorf("no answer within %v", probeTime)

// Version asks the binary for its version, once: later calls start no process. The home keeps the answer for other
// processes for as long as the file of the binary stays the same, unless the file is a script, or its own name does not
// begin with "helm": what such a program starts can be another helm each time.
//
// Errors: ErrUnsupportedVersion for Helm 2 and for versions under v3.14 or Config.MinVersion.
func (h *Helm) Version(ctx context.Context) (_ Version, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Version"})
	defer end(&err)
	helm, err := h.identified(ctx)
	return helm.Version, err
}

// identified is the version of a binary, and what binary.Identity said about it before and after it answered.
type identified struct {
	Version
	identity string
}

func (h *Helm) identified(ctx context.Context) (identified, error) {
	return h.version.get(ctx, func() (identified, error) { return h.findVersion(ctx) })
}

func (h *Helm) findVersion(ctx context.Context) (identified, error) {
	found := identified{identity: binary.Identity(h.binary)}
	known := false
	if found.identity != "" {
		// Where that fails, or another process waits for an answer for too long, this one asks too.
		patient, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		leave, err := h.home.LockUnless(patient, "version "+found.identity, func() bool { return h.knows(&found) })
		if leave != nil {
			defer leave()
		}
		known = leave == nil && err == nil && found.identity == binary.Identity(h.binary) // after the wait, too
	}
	if !known {
		v, complete, err := h.askVersion(ctx)
		if err != nil {
			return identified{}, err
		}
		if found.identity != binary.Identity(h.binary) {
			found.identity = "" // nobody knows which of the two has answered
		}
		found.Version = v
		if found.identity != "" && complete {
			h.versions.Put(found.identity, []byte(v.Text))
		}
	}
	if err := supported(found.Version, h.oldest); err != nil {
		return identified{}, fmt.Errorf("%w (%s)", err, h.binary)
	}
	return found, nil
}

// knows looks up the version of an identified binary.
func (h *Helm) knows(found *identified) bool {
	if found.identity == "" {
		return false
	}
	text, ok := h.versions.Get(found.identity)
	if !ok {
		return false
	}
	v, err := parseVersion(text)
	found.Version = v
	return err == nil && v.Text == string(text)
}

// askVersion reports as well whether helm succeeded, after whatever it printed.
func (h *Helm) askVersion(ctx context.Context) (v Version, complete bool, err error) {
	// Helm 2 then looks for its server in the cluster, which can take minutes.
	out, err := h.run(ctx, invocation{args: []string{"version", "--short"}, atMost: probeTime, late: errNoAnswer})
	v, parsed := parseVersion(out)
	var e *Error
	switch {
	case parsed != nil && errors.As(err, &e) && helmtext.UnknownFlag(e.Stderr):
		return Version{}, false, fmt.Errorf("%w: %s does not know what helm 3 and 4 know, and may be another program: %w", ErrUnsupportedVersion, h.binary, err)
	case parsed != nil && err != nil:
		return Version{}, false, fmt.Errorf("reading the version of %s: %w", h.binary, err)
	case parsed != nil:
		return Version{}, false, fmt.Errorf("%w: %s prints no version: %w", ErrUnsupportedVersion, h.binary, parsed)
	}
	return v, err == nil, nil
}

// parseOldest reads Config.MinVersion.
func parseOldest(text string) (oldest []*semver.Version, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		v, err := semver.NewVersion(word)
		if err != nil {
			return nil, errdef.Invalidf("config: MinVersion %.80q: %.80q is not a version", text, word)
		}
		oldest = append(oldest, v)
	}
	slices.SortFunc(oldest, (*semver.Version).Compare)
	return oldest, nil
}

// enforced makes sure that no helm runs which is older than Config.MinVersion.
func (h *Helm) enforced(ctx context.Context, command string) error {
	if len(h.oldest) == 0 || command == "version" {
		return nil
	}
	_, err := h.identified(ctx)
	return err
}

func parseVersion(out []byte) (Version, error) {
	v, err := semver.NewVersion(helmtext.Version(string(out)))
	if err != nil {
		return Version{}, fmt.Errorf("no version in %.200q", out)
	}
	return Version{Major: int(v.Major()), Minor: int(v.Minor()), Patch: int(v.Patch()), Text: v.Original()}, nil
}

func supported(v Version, oldest []*semver.Version) error {
	have, err := semver.NewVersion(v.Text)
	if err != nil {
		return err
	}
	need := oldest4
	if have.Major() < 4 {
		need = oldest3
	}
	if have.LessThan(need) {
		return fmt.Errorf("%w: this is helm %s, but at least v%s or v%s is needed", ErrUnsupportedVersion, v.Text, oldest3, oldest4)
	}
	if len(oldest) == 0 {
		return nil
	}
	need = oldest[0]
	for _, min := range oldest {
		if min.Major() <= have.Major() {
			need = min
		}
	}
	if have.LessThan(need) {
		return fmt.Errorf("%w: this is helm %s, but Config.MinVersion is %s", ErrUnsupportedVersion, v.Text, need.Original())
	}
	return nil
}

// Advisory is a known hole of some versions of Helm, or a bug that harms releases.
type Advisory struct {
	ID      string // "CVE-2025-53547", or "helm/helm#32214" for a bug
	URL     string // where it is published
	Summary string
	// FixedIn are the first versions without it, one for each line of versions that was mended.
	FixedIn []string

	since []string // the first affected versions, one for each of FixedIn
}

const (
	ghsa   = "https://github.com/helm/helm/security/advisories/"
	issues = "https://github.com/helm/helm/issues/"
)

// advisories are those of versions that this package works with, the newest first.
var advisories = []Advisory{
	{
		ID: "helm/helm#32215", URL: issues + "32215", since: []string{"4.2.1"}, FixedIn: []string{"4.3.0"},
		Summary: "lines about an oci:// chart are printed into the output of template and show",
	},
	{
		ID: "helm/helm#32214", URL: issues + "32214", since: []string{"4.2.1"}, FixedIn: []string{"4.2.2"},
		Summary: "waiting for an object that is already gone, as before each hook, takes the whole timeout",
	},
	{
		ID: "CVE-2026-35206", URL: ghsa + "GHSA-hr2v-4r36-88hr", since: []string{"0.0.0", "4.0.0-0"}, FixedIn: []string{"3.20.2", "4.1.4"},
		Summary: "pull --untar writes a chart with a name of dots over the folder that it is to go below",
	},
	{
		ID: "CVE-2026-35205", URL: ghsa + "GHSA-q5jf-9vfq-h4h7", since: []string{"4.0.0-0"}, FixedIn: []string{"4.1.4"},
		Summary: "a plugin without a signature is installed where a signature is required",
	},
	{
		ID: "CVE-2026-35204", URL: ghsa + "GHSA-vmx8-mqv2-9gmg", since: []string{"4.0.0-0"}, FixedIn: []string{"4.1.4"},
		Summary: "installing a plugin can write files anywhere",
	},
	{
		ID: "CVE-2025-55199", URL: ghsa + "GHSA-9h84-qmv7-982p", since: []string{"0.0.0"}, FixedIn: []string{"3.18.5"},
		Summary: "a reference in a chart's schema to a device takes all memory",
	},
	{
		ID: "CVE-2025-55198", URL: ghsa + "GHSA-f9f8-9pmf-xv68", since: []string{"0.0.0"}, FixedIn: []string{"3.18.5"},
		Summary: "odd entries of a Chart.yaml or an index crash helm",
	},
	{
		ID: "CVE-2025-53547", URL: ghsa + "GHSA-557j-xg8c-q2mm", since: []string{"0.0.0", "3.18.0-0"}, FixedIn: []string{"3.17.4", "3.18.4"},
		Summary: "dependency update writes text of a chart through a link named Chart.lock, which can lead to running it",
	},
	{
		ID: "CVE-2025-32387", URL: ghsa + "GHSA-5xqw-8hwv-wg92", since: []string{"0.0.0"}, FixedIn: []string{"3.17.3"},
		Summary: "a chain of references in a chart's schema overflows the stack",
	},
	{
		ID: "CVE-2025-32386", URL: ghsa + "GHSA-4hfp-h4cw-hj8p", since: []string{"0.0.0"}, FixedIn: []string{"3.17.3"},
		Summary: "a chart archive unpacks to more than the memory holds",
	},
	{
		ID: "CVE-2024-26147", URL: ghsa + "GHSA-r53h-jv2g-vpx6", since: []string{"0.0.0"}, FixedIn: []string{"3.14.2"},
		Summary: "an index or plugin without metadata crashes helm",
	},
	{
		ID: "CVE-2024-25620", URL: ghsa + "GHSA-v53g-5gjp-272r", since: []string{"0.0.0"}, FixedIn: []string{"3.14.1"},
		Summary: "a chart whose name has a path is saved outside of the folder that it is to go to",
	},
}

// Advisories are the known holes and bad bugs of this version of Helm, the newest first. Whether one matters depends
// on what helm is used for; docs/security.md of the source says what this package does about each. The list is as old
// as this package: none is no proof.
func (v Version) Advisories() []Advisory {
	have, err := semver.NewVersion(v.Text)
	if err != nil {
		return nil
	}
	var apply []Advisory
	for _, a := range advisories {
		if a.affects(have) {
			a.FixedIn = slices.Clone(a.FixedIn)
			apply = append(apply, a)
		}
	}
	return apply
}

func (a Advisory) affects(have *semver.Version) bool {
	for i, fixed := range a.FixedIn {
		since := semver.MustParse(a.since[i])
		if !have.LessThan(since) && have.LessThan(semver.MustParse(fixed)) {
			return true
		}
	}
	return false
}
