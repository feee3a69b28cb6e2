package helmtest

import "strings"

// Refusal is a way in which the cluster refuses what a chart contains, by the name of the recording of it.
type Refusal string

// All of them are for good, except WebhookDown, which may pass (IsTransient).
const (
	NoRights      Refusal = "forbidden-install" // helm's user may not read an object: nothing is recorded
	NoSecrets     Refusal = "forbidden-record"  // helm's user may not write the release record
	ForeignObject Refusal = "foreign-object"    // an object exists and is not the release's: nothing is recorded
	RecordTooLong Refusal = "record-too-long"   // the release record does not fit into a Secret
	IllegalObject Refusal = "illegal-object"    // an object is not valid: the release is recorded as failed
	Quota         Refusal = "quota"             // a ResourceQuota has no room for an object: recorded as failed
	WebhookDown   Refusal = "webhook-unreachable"
)

// recordsNothing reports whether helm gives up before it has recorded the release.
func (r Refusal) recordsNothing() bool {
	return r == NoRights || r == NoSecrets || r == ForeignObject || r == RecordTooLong
}

// Refuses lets the cluster refuse what the next install makes.
//
// helmexec: a *ReleaseError with helm's *Error, which has the cluster's words; what was made is removed.
func (f *Fake) Refuses(why Refusal) {
	f.play("Refuses", 1, is("install"), func(c Call) Reply {
		then := f.said(string(why), c.names("")...)
		if why.recordsNothing() {
			return then
		}
		return f.afterwards(c, as("failed"), then)
	})
}

// NamespaceMissing lets the next install find that its namespace does not exist.
//
// helmexec: ErrNamespaceNotFound.
func (f *Fake) NamespaceMissing() {
	f.play("NamespaceMissing", 1, is("install"), func(c Call) Reply { return f.said("namespace-not-found", `"nosuch"`, `"`+c.namespace()+`"`) })
}

// NotRecorded lets the next install report success while somebody removes the release. Helm 4 logs that it could not record it.
//
// helmexec: ErrNotRecorded.
func (f *Fake) NotRecorded() {
	f.play("NotRecorded", 1, is("install"), func(c Call) Reply {
		reply := f.Perform(c)
		f.RemoveRelease(c.Flag("--namespace"), c.Arg(0))
		if reply.Exit == 0 && !strings.HasPrefix(f.helmVersion(), "v3.") {
			reply.Stderr = `level=ERROR msg="failed to record the release" error="update: failed to update: secrets \"sh.helm.release.v1.` + c.Arg(0) + `.v1\" not found"` + "\n"
		}
		return reply
	})
}

// TestFails lets the test of a release's chart fail, when it is run next.
//
// helmexec: ErrTestFailed, with the test in the Blockers.
func (f *Fake) TestFails() {
	f.play("TestFails", 1, is("test"), func(c Call) Reply {
		tested, there := f.Release(c.Flag("--namespace"), c.Arg(0))
		if !there {
			return f.Perform(c)
		}
		f.update(c, func(r *Release) { r.setHook("test", "Failed") })
		failed := f.said("test-failed", c.names(f.nameOfHook(tested, "test"))...)
		f.mu.Lock()
		defer f.mu.Unlock()
		failed.Stdout = f.testLogs(c, tested)
		return failed
	})
}

// AnotherCluster makes the cluster another one than it was.
//
// helmexec: ErrPlanStale for a plan that was made before.
func (f *Fake) AnotherCluster() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store.moved++
}

// Unauthorized lets the next repository or registry that helm asks refuse the credentials.
//
// helmexec: ErrUnauthorized.
func (f *Fake) Unauthorized() {
	f.source("Unauthorized", 1, map[string]string{"repo add": "repo-add-401", "repo update": "repo-update-401", "pull": "pull-archive-403", "pull oci": "oci-unauthorized"})
}

// ChartMissing lets the next pull find no such chart.
//
// helmexec: ErrChartNotFound.
func (f *Fake) ChartMissing() {
	f.source("ChartMissing", 1, map[string]string{"pull": "pull-archive-404", "pull oci": "oci-unknown-chart"})
}

// SourceDown lets the next n calls to a repository or registry find that nobody listens there.
//
// helmexec: another try; if there are as many as Retry.Tries, ErrRepoNotFound, which IsTransient.
func (f *Fake) SourceDown(n int) {
	f.source("SourceDown", n, map[string]string{"repo add": "repo-add-connection-refused", "pull": "pull-archive-connection-refused", "pull oci": "oci-connection-refused"})
}

// source answers the next calls to a source of charts with the scenes of their commands.
func (f *Fake) source(name string, times int, scenes map[string]string) {
	scene := func(c Call) string {
		if c.Command() == "pull" && strings.HasPrefix(c.Arg(0), "oci://") {
			return scenes["pull oci"]
		}
		return scenes[c.Command()]
	}
	f.play(name, times, func(c Call) bool { return scene(c) != "" }, func(c Call) Reply { return f.said(scene(c)) })
}
