package helmexec

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/Masterminds/semver/v3"
)

// The oldest versions driven: v3.14 is the first with all the flags used here, v4.0 the first of
// its line.
var (
	oldest3 = semver.MustParse("3.14.0")
	oldest4 = semver.MustParse("4.0.0")
)

// Version is the version of the helm binary.
type Version struct {
	Major, Minor, Patch int
	Text                string // as helm prints it, "v4.3.1"
}

func (v Version) String() string { return v.Text }

// dialect holds every difference between Helm 3 and Helm 4 that a command meets.
type dialect struct {
	listAll              []string // list releases in every state
	statusResources      []string // status with the live objects
	uninstallWait        string   // uninstall that waits until the objects are gone
	postRendererIsPlugin bool     // and hooks pass through it
	updateFails          []string // repo update that fails when a repository failed
	templateCluster      []string // template with the real cluster's version and APIs
	dryRun               string   // install and upgrade that change nothing but ask the cluster
}

var (
	helm3 = dialect{
		listAll:         []string{"--all"},
		statusResources: []string{"--show-resources"},
		uninstallWait:   "--wait",
		updateFails:     []string{"--fail-on-repo-update-fail"},
		templateCluster: []string{"--validate", "--dry-run=server"},
		dryRun:          "--dry-run=server",
	}
	helm4 = dialect{
		// The watcher of Helm 4 ends when the first object is gone before it has heard of the
		// others, and can wait in vain for one that went at once (helm/helm#31766, #32608).
		uninstallWait:        "--wait=legacy",
		postRendererIsPlugin: true,
		templateCluster:      []string{"--dry-run=server"},
		dryRun:               "--dry-run=server",
	}
)

func (h *Helm) dialect(ctx context.Context) (dialect, error) {
	v, err := h.Version(ctx)
	if err != nil {
		return dialect{}, err
	}
	if v.Major >= 4 {
		return helm4, nil
	}
	return helm3, nil
}

// probeTime is how long helm may take to say its version, on a host busy with others too.
const probeTime = time.Minute

var errNoAnswer = fmt.Errorf("no answer within %v", probeTime)

// Version asks the binary for its version, once: later calls start no process.
//
// Errors: ErrUnsupportedVersion for Helm 2 and for versions under v3.14.
func (h *Helm) Version(ctx context.Context) (Version, error) {
	return h.version.get(ctx, func() (Version, error) { return h.askVersion(ctx) })
}

func (h *Helm) askVersion(ctx context.Context) (Version, error) {
	// Helm 2 goes on to look for its server in the cluster, which can take minutes.
	out, err := h.run(ctx, invocation{args: []string{"version", "--short"}, atMost: probeTime, late: errNoAnswer})
	v, parsed := parseVersion(out)
	switch {
	case parsed != nil && err != nil:
		return Version{}, fmt.Errorf("reading the version of %s: %w", h.binary, err)
	case parsed != nil:
		return Version{}, fmt.Errorf("%w: %s does not say its version: %w", ErrUnsupportedVersion, h.binary, parsed)
	}
	if err := supported(v); err != nil {
		return Version{}, fmt.Errorf("%w (%s)", err, h.binary)
	}
	return v, nil
}

// versionText is where "helm version --short" of Helm 2, 3 and 4 has the version: "Client: v2.17.0+ga690bad",
// "v3.22.0+g1234567", "v4.3.1".
var versionText = regexp.MustCompile(`\bv\d+\.\d+\S*`)

func parseVersion(out []byte) (Version, error) {
	text := versionText.Find(out)
	v, err := semver.NewVersion(string(text))
	if err != nil {
		return Version{}, fmt.Errorf("no version in %.200q", out)
	}
	return Version{Major: int(v.Major()), Minor: int(v.Minor()), Patch: int(v.Patch()), Text: v.Original()}, nil
}

func supported(v Version) error {
	have, err := semver.NewVersion(v.Text)
	if err != nil {
		return err
	}
	need := oldest4
	if have.Major() < 4 {
		need = oldest3
	}
	if have.LessThan(need) {
		return fmt.Errorf("%w: this is helm %s, and v%s or v%s is needed at least", ErrUnsupportedVersion, v.Text, oldest3, oldest4)
	}
	return nil
}
