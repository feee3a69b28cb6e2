package helmexec

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

const (
	// maxReleaseName is Helm's limit: a Kubernetes label holds 63 characters, and charts put a suffix on the name.
	maxReleaseName = 53
	// maxJobID leaves a UUID whole, and as much room for the name as a hash needs.
	maxJobID = 36
	hashLen  = 8

	sutPrefix    = "job-"
	sutSeparator = "-sut-"
)

var (
	// legalPart is what SUTNamePrune gives: a DNS label, which every object that a chart names after its release accepts.
	legalPart = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	// legalRelease is Helm's own rule (pkg/chart/v2/util.ValidateReleaseName): DNS labels joined by dots.
	legalRelease = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

	hashEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// SUTNamePrune makes of any text a name that Helm takes for a release: at most 53 characters of a-z, 0-9 and "-",
// with a letter or digit at both ends, never empty. A name that is legal already is returned as it is, so the
// function is idempotent.
//
// Upper case becomes lower case; spaces, dashes and the punctuation that joins words (_ . / \ : , ; | +) become one "-";
// everything else is dropped. A short hash of the original is appended where the rest no longer tells names apart:
// when letters or digits of another script were dropped ("百度-llama" and "阿里-llama" stay distinct), when nothing
// legal is left, and when the name had to be cut.
//
// Names that differ only in case, in separators or in dropped punctuation ("my_sut", "My SUT", "my-sut!") give the
// same text, as one would read them as the same name. In one job they are one release name: the second Install fails
// with ErrReleaseExists, and nothing of the first is touched.
func SUTNamePrune(name string) string {
	if isLegalPart(name, maxReleaseName) {
		return name
	}
	pruned, lossy := prune(name)
	switch {
	case pruned == "":
		return "sut-" + shortHash(name)
	case lossy || len(pruned) > maxReleaseName:
		return withHash(pruned, name, maxReleaseName)
	}
	return pruned
}

// SUTHelmName is the release name of one system under test in one job: "job-<id>-sut-<name>", always legal, at most
// 53 characters.
//
// The name is pruned by SUTNamePrune, so it does not matter whether the caller has done so; what does not fit is cut
// and ends in a short hash. The job id alone makes the names of two jobs distinct: an id that is not a DNS label of at
// most 36 characters (a UUID is one), or that would make "-sut-" ambiguous, is cleaned and ends in a short hash of the
// original. The part of the id does not depend on the name, so the releases of a job share a prefix.
func SUTHelmName(jobID, sut string) string {
	id := cleanJobID(jobID)
	room := maxReleaseName - len(sutPrefix) - len(id) - len(sutSeparator)
	name := SUTNamePrune(sut)
	if len(name) > room {
		name = withHash(name, name, room)
	}
	return sutPrefix + id + sutSeparator + name
}

// ParseSUTHelmName is the reverse of SUTHelmName: the cleaned job id and the pruned name, split at the first "-sut-".
// ok is false for a release that is not named so.
func ParseSUTHelmName(release string) (jobID, sut string, ok bool) {
	rest, found := strings.CutPrefix(release, sutPrefix)
	if !found || len(release) > maxReleaseName {
		return "", "", false
	}
	jobID, sut, found = strings.Cut(rest, sutSeparator)
	if !found || !legalPart.MatchString(jobID) || !legalPart.MatchString(sut) {
		return "", "", false
	}
	return jobID, sut, true
}

func cleanJobID(id string) string {
	if isLegalPart(id, maxJobID) && !hidesSeparator(id) {
		return id
	}
	pruned, _ := prune(id)
	for hidesSeparator(pruned) {
		pruned = strings.TrimSuffix(strings.ReplaceAll(pruned, sutSeparator, "-"), "-sut")
	}
	if pruned == "" {
		return shortHash(id)
	}
	return withHash(pruned, id, maxJobID)
}

// hidesSeparator reports that the first "-sut-" after this id would not be the one that SUTHelmName puts there.
func hidesSeparator(id string) bool {
	return strings.Index(id+sutSeparator, sutSeparator) != len(id)
}

// prune does the mapping of characters; lossy reports that letters or digits were dropped.
func prune(name string) (pruned string, lossy bool) {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		case isSeparator(r):
			gap = true
		case unicode.IsLetter(r), unicode.IsNumber(r):
			lossy = true
		}
	}
	return b.String(), lossy
}

func isSeparator(r rune) bool {
	return strings.ContainsRune(`./\:,;|+`, r) || unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Pc, unicode.Zs)
}

// withHash appends the hash of original to name, cut so that both fit in limit. Where no readable part fits, the hash
// stands alone.
func withHash(name, original string, limit int) string {
	hash := shortHash(original)
	if keep := limit - len(hash) - 1; keep < len(name) {
		name = strings.TrimRight(name[:max(keep, 0)], "-")
	}
	if name == "" {
		return hash
	}
	return name + "-" + hash
}

// shortHash is 40 bits of SHA-256: enough for the names of one job, and for the odd job id that needs cleaning.
func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hashEncoding.EncodeToString(sum[:])[:hashLen]
}

func isLegalPart(s string, limit int) bool {
	return len(s) <= limit && legalPart.MatchString(s)
}

// validateReleaseName refuses what Helm would refuse as the name of a release, and says what is wrong and what to do.
func validateReleaseName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: the release name is empty", ErrInvalidArgument)
	}
	var wrong string
	switch {
	case len(name) > maxReleaseName:
		wrong = fmt.Sprintf("%d characters are more than the %d that Helm allows", len(name), maxReleaseName)
	case legalRelease.MatchString(name):
		return nil
	default:
		wrong = `Helm allows a-z, 0-9, "-" and ".", with a letter or digit at the start and end and beside every "."`
	}
	return fmt.Errorf("%w: release name %.80q: %s; SUTNamePrune makes a legal name of any text", ErrInvalidArgument, name, wrong)
}
