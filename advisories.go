package helmexec

import (
	"slices"

	"github.com/Masterminds/semver/v3"
)

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
