package helmexec

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/process"
)

// operation is one install or upgrade through all its tries.
type operation struct {
	host    host
	release string
	target  target
	label   string   // labelInstall or labelUpgrade
	id      string   // the value of that label
	crds    []string // the names of the CRDs that subcharts bring
	job     string   // the label value of its job, "" for none
	plan    string   // the label value of the digest of the plan that it applies, "" for none
	home    string
	locks   string // the folder of the locks of all operations in that home
	// Helm inherits two locks, so that they last as long as any helm of the operation, even if its
	// runner is killed. own belongs to the operation's id: there is one runner at a time. using
	// belongs to the release: all that change it share it, and an uninstall waits for them.
	own   lock
	lock  string // the name of the file of own
	using func() // frees the lock of the release
	files []*os.File
}

// begin makes an operation the only one with its id on this host, and announces it to its job. It waits while
// another runner, or the helm that a killed runner left behind, is working on it, or while an uninstall is
// working on its release.
func (h *Helm) begin(ctx context.Context, release string, t target, label, id, job string) (*operation, error) {
	if id == "" {
		id = h.host.newID()
		note(ctx, func(s *Span) { s.OperationID = cmp.Or(s.OperationID, id) })
	}
	op := &operation{host: h.host, release: release, target: t, label: label, id: labelValueOf(id), locks: h.locks()}
	if job != "" {
		op.job = labelValueOf(job)
	}
	var err error
	if op.home, err = h.homeID(); err != nil {
		return nil, err
	}
	using, free, err := h.lockRelease(ctx, t, release, filelock.Shared, nil)
	if err != nil {
		return nil, err
	}
	name := []string{label, op.id, t.kubeconfig, t.context, t.namespace, release}
	if op.own, err = h.takeLock(ctx, t, release, filelock.Exclusive, name...); err != nil {
		free()
		return nil, err
	}
	op.lock = filepath.Base(op.own.Path())
	op.using, op.files = free, append(op.own.Inherited(), using...)
	if err := op.announce(); err != nil {
		op.end()
		return nil, err
	}
	return op, nil
}

// isOfJob reports whether a record is of the operation's job, if that has one. An upgrade of somebody else may have given an
// install to another job since.
func (op *operation) isOfJob(rec *record) bool {
	return op.job == "" || rec.labels()[labelJob] == op.job || op.label == labelInstall && rec.Revision > 1
}

// end frees the locks.
func (op *operation) end() {
	_ = os.Remove(noticeFile(op.own.Path()))
	op.own.Release()
	op.using()
}

// inherited is what a helm of the operation inherits.
func (op *operation) inherited() []*os.File { return op.files }

// lockRelease takes the lock of a release on this host: shared for a change, exclusive for an
// uninstall, which calls held first if it has to wait. Helm inherits files.
func (h *Helm) lockRelease(ctx context.Context, t target, release string, mode filelock.Mode, held func()) (files []*os.File, free func(), err error) {
	name := []string{"release", t.kubeconfig, t.context, cmp.Or(t.namespace, "default"), release}
	if held != nil {
		switch lock, err := h.host.tryLock(h.lockFile(name...), mode); {
		case err == nil:
			return lock.Inherited(), lock.Release, nil
		case errors.Is(err, filelock.ErrHeld):
			held()
		}
	}
	lock, err := h.takeLock(ctx, t, release, mode, name...)
	if err != nil {
		return nil, nil, err
	}
	return lock.Inherited(), lock.Release, nil
}

// takeLock waits for a lock of a release. ErrReleaseBusy says that ctx ended first.
func (h *Helm) takeLock(ctx context.Context, t target, release string, mode filelock.Mode, name ...string) (lock, error) {
	path := h.lockFile(name...)
	lock, err := h.host.takeLock(ctx, path, mode)
	switch {
	case errors.Is(err, filelock.ErrHeld):
		return nil, &ReleaseError{Release: release, Namespace: t.namespace, Kind: ErrReleaseBusy,
			Err: fmt.Errorf("another runner, or the helm it left, is working on it (%s is locked): %w", path, contextError(ctx))}
	case err != nil:
		return nil, &ReleaseError{Release: release, Namespace: t.namespace, Err: fmt.Errorf("its lock cannot be taken: %w", err)}
	}
	return lock, nil
}

func (h *Helm) lockFile(name ...string) string {
	return home.LockFile(h.locks(), strings.Join(name, "\x00"))
}

// locks is the folder of the locks that keep others from a release.
func (h *Helm) locks() string { return h.home.Path("operations") }

// homeID names this home on this host. If a pending release has the same name in its label, the
// lock of its helm can be checked here.
func (h *Helm) homeID() (string, error) {
	file := h.home.Path("id")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		mine := []byte(h.host.newID())
		tmp := h.home.Path("tmp", "id-"+string(mine))
		if err := os.WriteFile(tmp, mine, 0o600); err != nil {
			return "", err
		}
		// A link, unlike a rename, does not replace the id that another process just gave.
		err = os.Link(tmp, file)
		os.Remove(tmp)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		text, err = os.ReadFile(file)
		if err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(text)) + "\x00" + h.host.name()))
	return hex.EncodeToString(sum[:12]), nil
}

// mayLive reports whether the helm that wrote a record may still be running. In this home its lock
// decides: if op holds the lock, that helm is dead. Elsewhere, or if the lock cannot be checked, the
// time on the record decides.
func (op *operation) mayLive(r *Release, now time.Time) bool {
	if r.Labels[labelHome] == op.home {
		lock := r.Labels[labelLock]
		if lock == op.lock {
			return false
		}
		if held, err := op.isHeld(lock); err == nil {
			return held
		}
	}
	until, err := strconv.ParseInt(r.Labels[labelUntil], 10, 64)
	return err != nil || now.Unix() <= until
}

var lockName = pattern.New(`^[0-9a-f]+\.lock$`)

// isHeld reports whether somebody holds the lock of an operation in this home.
func (op *operation) isHeld(lock string) (bool, error) {
	if !lockName().MatchString(lock) {
		return false, nil
	}
	// Shared, so that two callers who check at once do not take each other for the holder.
	l, err := op.host.tryLock(filepath.Join(op.locks, lock), filelock.Shared|filelock.Existing)
	switch {
	case err == nil:
		l.Release()
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, filelock.ErrHeld):
		return true, nil
	}
	return false, err
}

// graceContext ends a grace period after ctx: in that time an ended call cleans up.
func graceContext(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(contextError(ctx)) })
	})
	return later, func() { stop(); cancel(nil) }
}

// awaitHelm waits until the helm that wrote a pending record has ended: removing the record earlier
// would orphan what that helm goes on to make. On this host the lock of the release, which the caller
// holds, keeps most helms away; but a caller that names the cluster or namespace differently takes a
// different lock. It returns the record as it is then.
func (h *Helm) awaitHelm(ctx context.Context, t target, rec *record) (*record, error) {
	home, err := h.homeID()
	if err != nil {
		return nil, err
	}
	asker := &operation{host: h.host, home: home, locks: h.locks()}
	for pause := time.Second; rec.Status.Pending(); pause = min(2*pause, maxPause) {
		r := rec.release()
		if r.Labels[labelUntil] == "" || !asker.mayLive(r, h.host.now()) {
			break
		}
		if !sleep(ctx, pause) {
			return nil, fmt.Errorf("%w: its %s is under way: %w", ErrReleaseBusy, rec.Status, contextError(ctx))
		}
		if rec, err = h.record(ctx, t, rec.Name, 0); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// notice says which release an operation of this home is working on. It is written beside the lock of the
// operation before helm starts, and is valid as long as the lock is held. So the job finds a release that
// helm has not recorded yet.
type notice struct {
	Release, Namespace, Kubeconfig, KubeContext string
	Job                                         string // the label value, "" if no job was given
}

func noticeFile(lock string) string { return strings.TrimSuffix(lock, ".lock") + ".json" }

// announce writes the notice of an operation.
func (op *operation) announce() error {
	n := notice{Release: op.release, Namespace: op.target.namespace, Kubeconfig: op.target.kubeconfig, KubeContext: op.target.context, Job: op.job}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return home.WriteFile(noticeFile(op.own.Path()), text)
}

// inProgress lists the releases of a job that operations of this home are working on.
func (h *Helm) inProgress(jobID string, where target, allNamespaces bool) []Release {
	entries, _ := os.ReadDir(h.locks())
	var releases []Release
	for _, e := range entries {
		name, isNotice := strings.CutSuffix(e.Name(), ".json")
		file := filepath.Join(h.locks(), e.Name())
		text, err := os.ReadFile(file)
		var n notice
		if err != nil || !isNotice || json.Unmarshal(text, &n) != nil {
			continue
		}
		if lock, err := h.host.tryLock(filepath.Join(h.locks(), name+".lock"), filelock.Exclusive); err == nil {
			_ = os.Remove(file) // its runner and its helm were killed
			lock.Release()
			continue
		}
		here := n.Kubeconfig == where.kubeconfig && n.KubeContext == where.context &&
			(allNamespaces || cmp.Or(n.Namespace, "default") == cmp.Or(where.namespace, "default"))
		if here && belongsToJob(jobID, n.Release, n.Job) {
			releases = append(releases, Release{Name: n.Release, Namespace: n.Namespace})
		}
	}
	return releases
}

// host is the part of the machine that an outcome depends on: what runs helm, the clock, the name,
// unique ids, and the locks that others on the machine see. A test can have several hosts in one
// process. Files are in Config.Home.
type host struct {
	run      func(context.Context, process.Command) process.Result
	now      func() time.Time
	name     func() string
	newID    func() string
	takeLock func(ctx context.Context, file string, mode filelock.Mode) (lock, error)
	tryLock  func(file string, mode filelock.Mode) (lock, error)
}

// lock is a held lock.
type lock interface {
	Path() string
	Inherited() []*os.File // the lock is held as long as a helm has them open
	Release()
}

// thisHost is the real host.
func thisHost() host {
	return host{
		run: process.Run,
		now: time.Now,
		name: func() string {
			name, _ := os.Hostname()
			return name
		},
		newID: rand.Text,
		takeLock: func(ctx context.Context, file string, mode filelock.Mode) (lock, error) {
			return held(filelock.Take(ctx, file, mode))
		},
		tryLock: func(file string, mode filelock.Mode) (lock, error) { return held(filelock.Try(file, mode)) },
	}
}

// held avoids a non-nil interface around a nil lock.
func held(l *filelock.Lock, err error) (lock, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
