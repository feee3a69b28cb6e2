package helmexec

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"unicode"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/pattern"
)

const (
	// maxJobID leaves a UUID whole, and as much room for the name as a hash needs.
	maxJobID = 36
	hashLen  = 8

	sutPrefix    = "job-"
	sutSeparator = "-sut-"
)

var (
	// legalPart is what SUTNamePrune gives: a DNS label, which every object that a chart names after its release accepts.
	legalPart = pattern.New(`^` + argument.DNSLabel + `$`)

	// looksCleaned matches every id that cleanJobID has changed.
	looksCleaned = pattern.New(`-[a-z2-7]{8}$`)

	hashEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// SUTNamePrune turns any text into a name that Helm accepts for a release: at most 53 characters of a-z, 0-9 and "-",
// with a letter or digit at both ends, never empty. A name that is already legal is returned as it is, so the
// function is idempotent.
//
// The text becomes lower case, "_" becomes "-", and every other character outside of a-z, 0-9 and "-" is dropped, as
// are dashes at the ends: "My_Model v1.2" is "my-modelv12". A short hash of the original is appended if the
// rest no longer tells names apart: if letters or digits of another script were dropped ("百度-llama" and
// "阿里-llama" stay distinct), if nothing legal is left, and if the name had to be cut.
//
// Names that differ only in case, in "_" and "-", or in dropped punctuation ("My SUT", "mysut!") give the same text. In
// one job they are one release name: the second Install fails with ErrReleaseExists, and nothing of the first is touched.
func SUTNamePrune(name string) string {
	if isLegalPart(name, argument.MaxReleaseName) {
		return name
	}
	pruned, lossy := prune(name)
	switch {
	case pruned == "":
		return "sut-" + shortHash(name)
	case lossy || len(pruned) > argument.MaxReleaseName:
		return withHash(pruned, name, argument.MaxReleaseName)
	}
	return pruned
}

// SUTHelmName is the release name of one system under test in one job: "job-<id>-sut-<name>", always legal, at
// most 53 characters.
//
// The name is pruned by SUTNamePrune, so it does not matter whether the caller has done so; a name that does
// not fit is cut and ends in a short hash.
//
// The part of the id does not depend on the name, so the releases of a job share a prefix, and no other job has it. An
// id that is a DNS label of at most 36 characters, such as a UUID, stays as it is. Any other is cleaned, and ends in a
// dash and a hash of 8 characters (a-z, 2-7). So is an id that already ends like this ("nightly-training"), or
// that contains "-sut-" or ends in "-sut", because otherwise two jobs could have one name.
//
// It refuses nothing: an empty id gives a legal name, too ("job-id-4oymiquy-sut-web"), of a job that UninstallJob does not
// accept. A program that reads its id from outside must check that there is one.
func SUTHelmName(jobID, sut string) string {
	id := cleanJobID(jobID)
	room := argument.MaxReleaseName - len(sutPrefix) - len(id) - len(sutSeparator)
	name := SUTNamePrune(sut)
	if len(name) > room {
		name = withHash(name, name, room)
	}
	return sutPrefix + id + sutSeparator + name
}

// ParseSUTHelmName splits a name that SUTHelmName made at the first "-sut-" into the job id and the pruned
// name. If the id had to be cleaned, it returns the cleaned id, which is not the id of the job any more:
// SUTHelmName and UninstallJob treat it as another job. ok is false for a release with any other name.
func ParseSUTHelmName(release string) (jobID, sut string, ok bool) {
	rest, found := strings.CutPrefix(release, sutPrefix)
	if !found || len(release) > argument.MaxReleaseName {
		return "", "", false
	}
	jobID, sut, found = strings.Cut(rest, sutSeparator)
	if !found || !legalPart().MatchString(jobID) || !legalPart().MatchString(sut) {
		return "", "", false
	}
	return jobID, sut, true
}

// cleanJobID gives each id a unique form: the id itself, or a cleaned one that looksCleaned matches. An
// id that looksCleaned matches is always cleaned.
func cleanJobID(id string) string {
	if isLegalPart(id, maxJobID) && !hidesSeparator(id) && !looksCleaned().MatchString(id) {
		return id
	}
	readable, _ := prune(id)
	readable = readable[:min(len(readable), maxJobID-1-hashLen)]
	for hidesSeparator(readable) {
		readable = strings.TrimSuffix(strings.ReplaceAll(readable, sutSeparator, "-"), "-sut")
	}
	return cmp.Or(strings.TrimRight(readable, "-"), "id") + "-" + shortHash(id)
}

// hidesSeparator reports that the first "-sut-" after this id would not be the one that SUTHelmName puts there.
func hidesSeparator(id string) bool {
	return strings.Index(id+sutSeparator, sutSeparator) != len(id)
}

// prune maps the characters by the rule of the first version, so that its releases are found again. Dashes at the ends,
// which Helm refuses, go as well. lossy reports that letters or digits were dropped.
func prune(name string) (pruned string, lossy bool) {
	pruned = strings.Map(func(r rune) rune {
		switch {
		case r == '_':
			return '-'
		case r == '-', 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		lossy = lossy || unicode.IsLetter(r) || unicode.IsNumber(r)
		return -1
	}, strings.ToLower(name))
	return strings.Trim(pruned, "-"), lossy
}

// withHash appends the hash of original to name, cut so that both fit in limit. If no readable part fits, it is
// only the hash.
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
	return len(s) <= limit && legalPart().MatchString(s)
}
