package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sut-bench/helmexec/internal/helmtext"
)

// All changes of a release work in one way: make a try, look up what happened, and find the next step in a
// table.

// tried is how a try ended, according to helm's own messages.
type tried int

const (
	triedOK          tried = iota // exit 0
	triedTaken                    // the name is in use
	triedUnreachable              // the cluster did not answer before anything was done
	triedLost                     // the connection or the process was lost meanwhile
	triedNotReady                 // objects were made, but the wait for them ended
	triedRefused                  // it failed for good
	triedStopped                  // the caller's context ended
	triedGone                     // an uninstall found no release
	triedSkipped                  // an uninstall exited 0, but skipped objects
	triedPurged                   // an uninstall failed, but then removed the record
	triedOverdue                  // an uninstall was ended at its time, with objects left; the record stays
	endsOfTries
)

// found is what is then recorded under the name.
type found int

const (
	foundNothing  found = iota
	foundDeployed       // this operation's release, as wanted, or upgraded since
	foundFailed         // this operation's, failed; for an uninstall, the release to be removed
	foundDead           // this operation's, pending or being removed, by a helm that is dead
	foundLive           // this operation's, unfinished, by a helm on another host that may live
	foundForeign        // of another operation
	foundUnknown        // looking failed
	kindsOfFound
)

// next is the step that follows from the two.
type next int

const (
	nextFail       next = iota // fail; there is nothing to remove, or nothing is known
	nextDone                   // success
	nextAgain                  // another try
	nextClearAgain             // remove what is there, then another try
	nextClearFail              // say why, remove what is there, fail
	nextTaken                  // fail: the name is another's
	nextWait                   // look again in a while
	nextFinish                 // the record is gone: remove the remaining objects
	nextGone                   // fail: somebody removed the release; say what is left of it
	nextNoHooks                // another try without the delete hooks, if that may help; otherwise fail
)

// settlement says what to do after a try, given how it ended and what is found.
type settlement [endsOfTries][kindsOfFound]next

// A deployed release of this operation is a success however the try ended. A live helm is always
// waited for, since changing its record orphans its objects. A release of somebody else is never
// touched. Helm records a release before it makes anything else: if it reports success, or that objects are
// not ready, and there is no record, then somebody removed the release on purpose, and it is not installed again; so too
// if somebody else removes what a clean-up is about to remove.
var settleInstall = settlement{
	//                 nothing    deployed  failed          dead            live      foreign    unknown
	triedOK:          {nextGone, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextFail},
	triedTaken:       {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextFail},
	triedUnreachable: {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextAgain},
	triedLost:        {nextAgain, nextDone, nextClearAgain, nextClearAgain, nextWait, nextTaken, nextAgain},
	triedNotReady:    {nextGone, nextDone, nextClearFail, nextClearFail, nextWait, nextTaken, nextFail},
	triedRefused:     {nextFail, nextDone, nextClearFail, nextClearFail, nextWait, nextFail, nextFail},
	triedStopped:     {nextFail, nextDone, nextClearFail, nextClearFail, nextFail, nextFail, nextFail},
}

// For an upgrade "foreign" is the release as it was before: the try recorded nothing. A failed
// revision does not block a further try, a pending one does.
var settleUpgrade = settlement{
	//                 nothing    deployed  failed         dead            live      foreign    unknown
	triedOK:          {nextGone, nextDone, nextAgain, nextClearAgain, nextWait, nextAgain, nextFail},
	triedTaken:       {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextTaken, nextFail},
	triedUnreachable: {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextAgain, nextAgain},
	triedLost:        {nextAgain, nextDone, nextAgain, nextClearAgain, nextWait, nextAgain, nextAgain},
	triedNotReady:    {nextGone, nextDone, nextClearFail, nextClearFail, nextWait, nextFail, nextFail},
	triedRefused:     {nextFail, nextDone, nextClearFail, nextClearFail, nextWait, nextFail, nextFail},
	triedStopped:     {nextFail, nextDone, nextClearFail, nextClearFail, nextFail, nextFail, nextFail},
}

// A rollback has no label that marks its revision: it is a later revision whose description says so. A
// pending one was left by a dead helm; a further rollback replaces it. "live" is somebody else's revision
// on top, which stays: rolling back once more would undo it.
var settleRollback = settlement{
	//                 nothing   deployed  failed     dead           live  foreign    unknown
	triedOK:          {nextFail, nextDone, nextFail, nextAgain, nextFail, nextAgain, nextFail},
	triedUnreachable: {nextFail, nextDone, nextAgain, nextAgain, nextFail, nextAgain, nextAgain},
	triedLost:        {nextFail, nextDone, nextAgain, nextAgain, nextFail, nextAgain, nextAgain},
	triedTaken:       {nextFail, nextDone, nextFail, nextFail, nextFail, nextFail, nextFail},
	triedNotReady:    {nextFail, nextDone, nextFail, nextFail, nextFail, nextFail, nextFail},
	triedRefused:     {nextFail, nextDone, nextFail, nextFail, nextFail, nextFail, nextFail},
	triedStopped:     {nextFail, nextDone, nextFail, nextClearFail, nextFail, nextFail, nextFail},
}

// For an uninstall "failed" is the release to be removed. If the record is gone, or is another's, the
// remaining objects must be removed; if helm reported success, nobody looks. "deployed" is a release that
// somebody has upgraded since, and that an operation's own clean-up leaves to them.
var settleUninstall = settlement{
	triedOK:          {foundNothing: nextDone},
	triedSkipped:     {foundNothing: nextFinish},
	triedGone:        {foundNothing: nextFinish},
	triedOverdue:     {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextFail, foundUnknown: nextFail},
	triedUnreachable: {foundUnknown: nextAgain},
	triedLost:        {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextAgain, foundUnknown: nextAgain},
	triedPurged:      {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextNoHooks, foundUnknown: nextFinish},
	triedRefused:     {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextNoHooks, foundUnknown: nextFail},
	triedNotReady:    {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextNoHooks, foundUnknown: nextFail},
	triedTaken:       {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextNoHooks, foundUnknown: nextFail},
	triedStopped:     {foundNothing: nextFinish, foundDeployed: nextDone, foundFailed: nextFail, foundUnknown: nextFail},
}

// observation is what is known after a try.
type observation struct {
	err     error // of the try
	how     tried
	found   found
	rec     *record // what is found, nil if nothing
	lookErr error   // why looking failed
	late    bool    // helm was killed, and what it had sent may still arrive
}

// howItEnded reads the error of a try.
func (h *Helm) howItEnded(err error) tried {
	var e *Error
	switch {
	case err == nil:
		return triedOK
	case isHopeless(err):
		return triedNotReady
	case !errors.As(err, &e) && !errors.Is(err, errTransform) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return triedStopped // before helm started
	case e == nil:
		return triedRefused
	case e != nil && e.cause != nil && (errors.Is(e.cause, context.Canceled) || errors.Is(e.cause, context.DeadlineExceeded) || errors.Is(e.cause, errOverlong)):
		return triedStopped
	case errors.Is(err, ErrReleaseExists), errors.Is(err, ErrReleaseBusy):
		return triedTaken
	case h.retryable(err) && errors.Is(err, ErrClusterUnreachable):
		return triedUnreachable
	case h.retryable(err):
		return triedLost
	case helmtext.NotReadyInTime(e.Stderr):
		return triedNotReady
	}
	return triedRefused
}

// asRecorded reads what a helm that exited 0 has printed: the release that is now recorded as deployed, with the labels that
// this try has given it. It is nil if that is not certain, and the record must be read. A helm that nobody stopped
// prints the release as it has just recorded it. There is one exception: an install succeeds even if the API server refused its
// last write, which leaves the release pending. Only Helm 4 says so.
func (c *change) asRecorded(ctx context.Context, out []byte, stderr string, labels map[string]string) *record {
	rel, err := helmtext.ParseRelease(out)
	namespace := c.h.namespaceOf(c.op.target)
	if err != nil || rel.Name != c.op.release || namespace != "" && rel.Namespace != namespace || rel.Info.Status != string(StatusDeployed) {
		return nil
	}
	if c.op.label == labelInstall {
		if d, err := c.h.dialect(ctx); err != nil || !d.SaysUnrecorded || helmtext.Unrecorded(stderr) || rel.Version != 1 {
			return nil
		}
		return printedRecord(rel, labels)
	}
	// An upgrade inherits the labels of the revision before, which must be the one that was seen.
	if c.historyOnly || !c.looked || rel.Version != c.latest+1 || rel.Info.FirstDeployed != c.before.Installed {
		return nil
	}
	all := c.before.labels()
	maps.Copy(all, labels)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "null" }) // as helm does
	return printedRecord(rel, all)
}

// found says what a record of the operation means to it. A failed record was first found failed at
// since.
func (op *operation) judge(r *Release, now, since time.Time) found {
	switch {
	case r.Status == StatusUninstalled, r.Status == StatusUninstalling && op.label == labelUpgrade:
		// Its history, and so its name, was kept on purpose; or somebody is removing it.
		return foundForeign
	case r.Labels[labelSweep] != "":
		return foundDead
	case r.Status == StatusDeployed, r.Status == StatusSuperseded, r.Revision > 1 && op.label == labelInstall:
		return foundDeployed
	case r.Status == StatusFailed && (!op.mayLive(r, now) || now.Sub(since) > settlingTime):
		return foundFailed
	case op.mayLive(r, now):
		return foundLive
	}
	return foundDead
}

// stale is the error if somebody else has changed the release since its upgrade was planned; nil if nobody has.
func (c *change) stale(found found, rec *record) error {
	if c.base == 0 || found != foundForeign || rec.Revision == c.base {
		return nil
	}
	return c.failure(ErrPlanStale, rec, fmt.Errorf("it was planned over revision %d, and has revision %d", c.base, rec.Revision))
}

func (c *change) failure(kind error, rec *record, err error) *ReleaseError {
	if kind == nil && errors.Is(err, ErrNamespaceNotFound) {
		kind = ErrNamespaceNotFound
	}
	e := &ReleaseError{Release: c.op.release, Namespace: c.op.target.namespace, Kind: kind, Err: err}
	if hopeless := (*hopelessError)(nil); errors.As(err, &hopeless) {
		e.FailFastRule = hopeless.rule.Name
	}
	if rec != nil {
		e.Status = rec.Status
	}
	return e
}

// withRemains adds the objects that earlier clean-ups left behind by design, and what helm makes before
// it records anything.
func (c *change) withRemains(ctx context.Context, e *ReleaseError) *ReleaseError {
	left := c.left
	if c.openErr != nil {
		left = slices.Concat(left, c.beside)
	}
	e.Remains = distinct(append(e.Remains, c.h.present(ctx, c.op.target, left)...))
	return e
}

// leftBehind lists what an install may have left: the objects of its record, or of the rendered
// chart if the record cannot be read. After an upgrade it is the release itself that is left.
func (c *change) leftBehind(ctx context.Context, rec *record, err error) *ReleaseError {
	e := c.failure(ErrLeftBehind, rec, err)
	if c.op.label == labelInstall {
		left := c.remainsOf(ctx, rec)
		e.Remains = c.h.present(ctx, c.op.target, slices.Concat(left, c.left, c.beside))
	}
	if failed := (*ReleaseError)(nil); errors.As(err, &failed) {
		e.Status = failed.Status                                   // it may have gone since rec was read
		e.Remains = distinct(append(e.Remains, failed.Remains...)) // some may come yet
	}
	return e
}

// gone is the failure of a change whose release somebody removed while helm was at work. What helm made after that
// belongs to no release.
func (c *change) gone(ctx context.Context, err error) error {
	e := c.leftBehind(ctx, nil, cmp.Or(err, errRemovedByAnother))
	record := c.h.recordObject(c.op.release, c.op.target.namespace, 1, "")
	e.Remains = slices.DeleteFunc(e.Remains, func(r Remain) bool { return r.Kind == record.Kind && r.Name == record.Name })
	var kind error
	if c.h.howItEnded(err) == triedNotReady {
		kind = ErrNotReady
	}
	if e.also = kind; len(e.Remains) == 0 {
		e.Kind, e.also = kind, nil
	}
	return e
}

// errRemovedByAnother: it is not installed again, since whoever removed it wants it to be gone.
var errRemovedByAnother = fmt.Errorf("%w: somebody removed the release meanwhile", ErrNotRecorded)

// leftOnItsWay is the failure of a change whose helm was killed before any record was seen. Helm
// writes the record first, so only the record can still arrive.
func (c *change) leftOnItsWay(ctx context.Context, rec *record, err error) *ReleaseError {
	e := c.withRemains(ctx, c.failure(ErrLeftBehind, rec, err))
	e.Remains = append(e.Remains, c.h.recordObject(c.op.release, c.op.target.namespace, c.latest+1, "may still be on its way"))
	return e
}

// settlingTime is how long a failed release of another host is left alone: its runner is about to
// remove it.
const settlingTime = 2 * time.Minute

// errOverlong ends a change whose context has no deadline.
var errOverlong = fmt.Errorf("the change takes too long: %w", context.DeadlineExceeded)
