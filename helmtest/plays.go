package helmtest

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
)

// An act waits for a call and answers it as helm does when something goes wrong: it records what helm records then, and
// says what a real helm of that version said. Each waiting act answers as many calls as it says, in the order in which they were given;
// what comes after them is answered as usual. Acts come before On and Handle.
type act struct {
	name   string // as the test calls it
	times  int    // how many calls it answers
	begun  bool
	plays  func(Call) bool
	answer func(Call) Reply
}

func (f *Fake) play(name string, times int, plays func(Call) bool, answer func(Call) Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if times > 0 {
		f.acts = append(f.acts, &act{name: name, times: times, plays: plays, answer: answer})
	}
}

// next takes the act that answers a call from those that wait; nil if none does. The lock is held.
func (f *Fake) next(c Call) *act {
	for i, a := range f.acts {
		if a.plays(c) {
			a.begun = true
			if a.times--; a.times == 0 {
				f.acts = slices.Delete(f.acts, i, i+1)
			}
			return a
		}
	}
	return nil
}

// checkActs fails the test for each act that no call came for: such a test proves nothing.
func (f *Fake) checkActs() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.acts {
		if !a.begun {
			f.t.Errorf("helmtest: %s was not played: no call came that it answers", a.name)
		}
	}
}

// is matches the calls of some commands.
func is(commands ...string) func(Call) bool {
	return func(c Call) bool { return slices.Contains(commands, c.Command()) }
}

// changesAndWaits matches an install or upgrade that waits.
func changesAndWaits(c Call) bool { return c.changes() && c.waits() }

// afterwards performs a call and changes what it has recorded. A call that is refused stays so.
func (f *Fake) afterwards(c Call, change func(*Release), then Reply) Reply {
	if refused := f.Perform(c); refused.Exit != 0 {
		return refused
	}
	f.update(c, change)
	return then
}

// update changes the latest revision of the release that a call is about, if there is one.
func (f *Fake) update(c Call, change func(*Release)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, there := f.store.latest(c.key()); there {
		change(&r)
		f.store.put(r)
	}
}

// as sets the status of a revision.
func as(status string) func(*Release) { return func(r *Release) { r.Status = status } }

// names are the names of the release of a call instead of those of the recorded scenes.
func (c Call) names(object string) []string {
	pairs := []string{"/team/web ", "/" + c.namespace() + "/" + c.Arg(0) + " ", "/team/job ", "/" + c.namespace() + "/" + object + " ", "job job ", "job " + object + " ",
		"name=web ", "name=" + c.Arg(0) + " ", `"web"`, `"` + c.Arg(0) + `"`, `"team"`, `"` + c.namespace() + `"`}
	if c.Command() == "upgrade" {
		pairs = append(pairs, "INSTALLATION FAILED", "UPGRADE FAILED")
	}
	return pairs
}

// NotReady lets the next install or upgrade that waits end without being ready, at once: the release is recorded as
// failed, and "status" shows what is in the way; by default a pod whose readiness probe does not pass. A helm that does
// not wait notices nothing, and is not affected.
//
// helmexec: ErrNotReady, with the Blockers; the release is removed.
func (f *Fake) NotReady(blockers ...Blocker) {
	f.play("NotReady", 1, changesAndWaits, func(c Call) Reply {
		scene := map[string]string{"install": "not-ready", "upgrade": "not-ready-upgrade"}[c.Command()]
		ended := f.said(scene, c.names("")...)
		ended.Then = func() { f.block(c, &waiting{}, blockers) }
		return f.afterwards(c, as("failed"), ended)
	})
}

// Hangs lets the next install or upgrade that waits do so until helm is stopped; "status" shows what is in the way, as with
// NotReady. It ends when the context of the caller ends, or by a rule of FailFast.
//
// helmexec: the error of the context, or ErrNotReady by FailFast, with the Blockers; the release is removed.
func (f *Fake) Hangs(blockers ...Blocker) {
	f.play("Hangs", 1, changesAndWaits, func(c Call) Reply {
		stopped := f.said("sigterm", c.names("")...)
		stopped.Then = func() { f.update(c, as("failed")) }
		return f.afterwards(c, as(c.pending()), Reply{Then: func() { f.block(c, &waiting{}, blockers) }, Until: Forever, Term: &stopped})
	})
}

// Recovers lets the next install or upgrade that waits take its time, and succeed: a number of looks at the release see what is
// in the way, and the next one sees that it is ready. A call without Progress and FailFast does not look, and waits until its
// context ends.
//
// helmexec: success; or ErrNotReady, if a rule of FailFast finds that there is no hope.
func (f *Fake) Recovers(looks int, blockers ...Blocker) {
	f.play("Recovers", 1, changesAndWaits, func(c Call) Reply {
		w := &waiting{looks: looks, ready: make(chan struct{})}
		stopped := f.said("sigterm", c.names("")...)
		stopped.Then = func() { f.update(c, as("failed")) }
		deployed := f.Perform(c)
		if deployed.Exit == 0 {
			f.update(c, as(c.pending()))
			deployed.Then, deployed.Until, deployed.Term = func() { f.block(c, w, blockers) }, w.ready, &stopped
		}
		return deployed
	})
}

// LoseAnswer lets the next install, upgrade, rollback or uninstall do its work; then helm is killed before it can say so.
//
// helmexec: success; Release.Recovered is set.
func (f *Fake) LoseAnswer() {
	f.play("LoseAnswer", 1, is("install", "upgrade", "rollback", "uninstall"), func(c Call) Reply {
		return f.afterwards(c, func(*Release) {}, Reply{Signal: os.Kill})
	})
}

// KilledHalfWay lets the next install or upgrade be killed when it has recorded the release as pending.
//
// helmexec: another try, after the first one was cleared away; without one left, helm's *Error.
func (f *Fake) KilledHalfWay() {
	f.play("KilledHalfWay", 1, is("install", "upgrade"), func(c Call) Reply { return f.afterwards(c, as(c.pending()), Reply{Signal: os.Kill}) })
}

// KillRunner turns a release into what is recorded if its runner and its helm are killed at once while they work on it. The
// test calls it when its first runner has returned, and then starts another one as a restart would. It fails if there is no
// such release: a runner that cleaned up before it returned was not killed. docs/testing.md says how to test such a one.
//
// helmexec: a call with the same OperationID clears the rest away and installs; for another one it is ErrReleaseExists.
func (f *Fake) KillRunner(namespace, release string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	r, there := f.store.latest(key(namespace, release))
	if !there {
		recorded := slices.Sorted(maps.Keys(f.store.releases))
		f.t.Fatalf("helmtest: KillRunner: there is no release %s; recorded are %q", key(namespace, release), recorded)
	}
	r.Status = map[bool]string{true: "pending-install", false: "pending-upgrade"}[r.Revision == 1]
	f.store.put(r)
}

// NameTaken lets the name of the next install belong to a release of another job, or of somebody who does not use
// helmexec if by is "".
//
// helmexec: ErrReleaseExists, with JobID if that is a legal label value; the release is not touched.
func (f *Fake) NameTaken(by string) {
	f.play("NameTaken", 1, is("install"), func(c Call) Reply {
		taken := Release{Name: c.Arg(0), Namespace: c.Flag("--namespace"), Chart: "other", ChartVersion: "1.0.0"}
		if by != "" {
			taken.Labels = map[string]string{"helmexec/install": "other", "helmexec/job": by}
		}
		f.SetRelease(taken)
		return f.Perform(c)
	})
}

// Busy lets the next upgrade meet another one that is in progress.
//
// helmexec: ErrReleaseBusy.
func (f *Fake) Busy() {
	f.play("Busy", 1, is("upgrade"), func(c Call) Reply { return f.said("busy") })
}

// Unreachable lets the next n calls to the cluster find that it refuses connections.
//
// helmexec: another try; if there are as many as Retry.Tries, ErrClusterUnreachable, which IsTransient.
func (f *Fake) Unreachable(n int) {
	f.play("Unreachable", n, Call.asksCluster, func(c Call) Reply {
		scene := "cluster-connection-refused"
		if c.changes() {
			scene += "-" + c.Command()
		}
		return f.said(scene, c.names("")...)
	})
}

// asksCluster reports whether a call talks to the cluster of its caller. Helm.Plan gives helm an empty one of its own.
func (c Call) asksCluster() bool {
	switch command, _, _ := strings.Cut(c.Command(), " "); command {
	case "template", "dry-run":
		own := c.Env["KUBECACHEDIR"] != "" && c.Env["KUBECACHEDIR"] == c.Flag("--kubeconfig")
		return (c.Flag("--dry-run") == "server" || c.Command() == "dry-run upgrade") && !own
	case "install", "upgrade", "rollback", "uninstall", "get", "status", "history", "list", "test":
		return true
	}
	return false
}

// LeavesBehind lets the next uninstall that waits leave objects of the release: the record is removed, and what is named
// stays; by default all objects in its manifest.
//
// helmexec: ErrNotGone, with the Remains; for an install that failed and was to be cleared away, ErrLeftBehind beside its
// own error.
func (f *Fake) LeavesBehind(objects ...manifest.ObjectRef) {
	f.play("LeavesBehind", 1, func(c Call) bool { return c.Command() == "uninstall" && c.waits() }, func(c Call) Reply {
		r, _ := f.Release(c.Flag("--namespace"), c.Arg(0))
		if refused := f.Perform(c); refused.Exit != 0 {
			return refused
		}
		f.stay(r, objects)
		return f.said("not-gone", c.names("")...)
	})
}

// HookFails lets a hook of the chart fail: that of the next install for "pre-install" and "post-install", of the next
// upgrade for "pre-upgrade" and "post-upgrade", of the next uninstall for "pre-delete" and "post-delete".
//
// helmexec: of an install or upgrade ErrNotReady, with the hook in the Blockers; the release is removed, of an upgrade
// failed. A pre-delete hook gives helm's *Error and leaves the release uninstalling, a post-delete hook ErrNotGone.
func (f *Fake) HookFails(event string) {
	command := map[string]string{"install": "install", "upgrade": "upgrade", "delete": "uninstall"}[event[strings.IndexByte(event, '-')+1:]]
	f.play("HookFails "+event, 1, func(c Call) bool { return c.Command() == command && c.Flag("--no-hooks") == "" }, func(c Call) Reply {
		status := map[bool]string{true: "uninstalling", false: "failed"}[command == "uninstall"]
		before, _ := f.Release(c.Flag("--namespace"), c.Arg(0))
		if event != "pre-delete" {
			if refused := f.Perform(c); refused.Exit != 0 {
				return refused
			}
		}
		f.update(c, func(r *Release) { before = *r; r.setHook(event, "Failed"); r.Status = status })
		return f.said(event+"-hook-failed", c.names(f.nameOfHook(before, event))...)
	})
}

// HookHangs lets a hook of the chart run until helm is stopped: that of the next install for "pre-install" and "post-install", of
// the next upgrade for "pre-upgrade" and "post-upgrade". What is in the way are pods of the hook; by default one whose container
// runs. It ends as Hangs does, also for a call without Wait.
//
// helmexec: the error of the context, or ErrNotReady by FailFast, with the hook and its pods in the Blockers; the release is
// removed.
func (f *Fake) HookHangs(event string, blockers ...Blocker) {
	command := event[strings.IndexByte(event, '-')+1:]
	f.play("HookHangs "+event, 1, func(c Call) bool { return c.Command() == command && c.Flag("--no-hooks") == "" }, func(c Call) Reply {
		stopped := f.said("sigterm-in-hook", c.names("")...)
		stopped.Then = func() { f.update(c, func(r *Release) { r.setHook(event, "Failed"); r.Status = "failed" }) }
		missing := make(chan struct{})
		return f.afterwards(c, func(r *Release) { r.setHook(event, "Running"); r.Status = c.pending() }, Reply{
			Then: func() {
				r, _ := f.Release(c.Flag("--namespace"), c.Arg(0))
				if name := f.nameOfHook(r, event); name != "" {
					f.block(c, &waiting{hook: r.Hooks[r.hook(event)].Kind + "/" + name}, blockers)
				} else {
					close(missing)
				}
			},
			Until: missing, Term: &stopped, Exit: 1,
		})
	})
}

// nameOfHook is the name of the first hook of an event.
func (f *Fake) nameOfHook(r Release, event string) string {
	at := r.hook(event)
	if at < 0 {
		f.t.Errorf("helmtest: the chart of release %s has no %s hook that could fail", r.Name, event)
		return ""
	}
	return r.Hooks[at].Name
}
