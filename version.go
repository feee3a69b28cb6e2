package helmexec

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// The oldest supported versions: v3.14 is the first with all the flags used here, v4.0 the first of
// Helm 4.
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

func (h *Helm) dialect(ctx context.Context) (helmtext.Dialect, error) {
	v, err := h.Version(ctx)
	if err != nil {
		return helmtext.Dialect{}, err
	}
	return helmtext.DialectOf(v.Major), nil
}

// probeTime is how long helm may take to print its version, also on a busy host.
const probeTime = time.Minute

var errNoAnswer = fmt.Errorf("no answer within %v", probeTime)

// Version asks the binary for its version, once: later calls start no process.
//
// Errors: ErrUnsupportedVersion for Helm 2 and for versions under v3.14 or Config.MinVersion.
func (h *Helm) Version(ctx context.Context) (Version, error) {
	return h.version.get(ctx, func() (Version, error) { return h.askVersion(ctx) })
}

func (h *Helm) askVersion(ctx context.Context) (Version, error) {
	// Helm 2 then looks for its server in the cluster, which can take minutes.
	out, err := h.run(ctx, invocation{args: []string{"version", "--short"}, atMost: probeTime, late: errNoAnswer})
	v, parsed := parseVersion(out)
	switch {
	case parsed != nil && err != nil:
		return Version{}, fmt.Errorf("reading the version of %s: %w", h.binary, err)
	case parsed != nil:
		return Version{}, fmt.Errorf("%w: %s prints no version: %w", ErrUnsupportedVersion, h.binary, parsed)
	}
	if err := supported(v, h.oldest); err != nil {
		return Version{}, fmt.Errorf("%w (%s)", err, h.binary)
	}
	return v, nil
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
	_, err := h.Version(ctx)
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
