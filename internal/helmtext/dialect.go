package helmtext

import "github.com/sut-bench/helmexec/internal/pattern"

// Dialect has every difference between Helm 3 and Helm 4 that matters for a command.
type Dialect struct {
	ListAll         []string // list releases in every state
	StatusResources []string // status with the live objects
	UninstallWait   string   // uninstall that waits until the objects are gone
	UpdateFails     []string // repo update that fails if a repository failed
	TemplateCluster []string // template with the real cluster's version and APIs
	DryRun          string   // install, upgrade and template that change nothing but read the cluster
	SaysUnrecorded  bool     // an install that could not record its success says so, see Unrecorded
}

var (
	helm3 = Dialect{
		ListAll:         []string{"--all"},
		StatusResources: []string{"--show-resources"},
		UninstallWait:   "--wait",
		UpdateFails:     []string{"--fail-on-repo-update-fail"},
		TemplateCluster: []string{"--validate", "--dry-run=server"},
		DryRun:          "--dry-run=server",
	}
	helm4 = Dialect{
		// The watcher of Helm 4 ends if the first object is gone before it knows the others, and
		// can wait in vain for one that was gone at once (helm/helm#31766, #32608).
		UninstallWait:   "--wait=legacy",
		TemplateCluster: []string{"--dry-run=server"},
		DryRun:          "--dry-run=server",
		SaysUnrecorded:  true,
	}
)

// DialectOf returns the dialect of a major version of Helm.
func DialectOf(major int) Dialect {
	if major >= 4 {
		return helm4
	}
	return helm3
}

// versionText is where "helm version --short" of Helm 2, 3 and 4 has the version: "Client: v2.17.0+ga690bad",
// "v3.22.0+g1234567", "v4.3.1".
var versionText = pattern.New(`\bv\d+\.\d+\S*`)

// Version is the version that "helm version --short" prints, "" if there is none.
func Version(out string) string { return versionText().FindString(out) }
