package helmexec

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/kubelabel"
	"github.com/sut-bench/helmexec/internal/process"
)

// The labels that an operation puts on the release record. An upgrade inherits labels, so the key
// of the install survives it.
const (
	labelPrefix   = "helmexec/"
	labelInstall  = labelPrefix + "install"  // the operation that installed the release
	labelUpgrade  = labelPrefix + "upgrade"  // the operation that last upgraded it
	labelJob      = labelPrefix + "job"      // the job it belongs to
	labelDeadline = labelPrefix + "deadline" // Unix seconds: by then its job is over
	labelHome     = labelPrefix + "home"     // the home whose helm wrote the record
	labelLock     = labelPrefix + "lock"     // the file in that home that is locked as long as that helm lives
	labelUntil    = labelPrefix + "until"    // Unix seconds: by then that helm has ended
	labelBase     = labelPrefix + "base"     // the revision that an upgrade found
	labelTry      = labelPrefix + "try"      // one helm of an upgrade: it made the first revision with this label; later ones inherit it

	labelSweep     = labelPrefix + "sweep"            // set on a release that exists only to be uninstalled, see sweep
	labelNamespace = labelPrefix + "create-namespace" // set when the install was to make the namespace
	labelCRDs      = labelPrefix + "crds-"            // and a number: the names of the CRDs of subcharts, see packNames
)

// hashedLabel matches the hashes that labelValueOf makes.
var hashedLabel = regexp.MustCompile(`^sha256-[0-9a-f]{40}$`)

// labelValueOf gives each text a unique label value: the text if it is legal and does not look like a hash,
// otherwise its hash.
func labelValueOf(text string) string {
	if text != "" && kubelabel.IsValue(text) && !hashedLabel.MatchString(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + hex.EncodeToString(sum[:20])
}

func unixLabel(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// operation is one install or upgrade through all its tries.
type operation struct {
	host    host
	release string
	target  target
	label   string   // labelInstall or labelUpgrade
	id      string   // the value of that label
	crds    []string // the names of the CRDs that subcharts bring
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
	}
	op := &operation{host: h.host, release: release, target: t, label: label, id: labelValueOf(id), locks: h.locks()}
	var err error
	if op.home, err = h.homeID(); err != nil {
		return nil, err
	}
	using, free, err := h.lockRelease(ctx, t, release, true)
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
	if err := op.announce(job); err != nil {
		op.end()
		return nil, err
	}
	return op, nil
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
// uninstall. Helm inherits files.
func (h *Helm) lockRelease(ctx context.Context, t target, release string, shared bool) (files []*os.File, free func(), err error) {
	mode := filelock.Exclusive
	if shared {
		mode = filelock.Shared
	}
	lock, err := h.takeLock(ctx, t, release, mode, "release", t.kubeconfig, t.context, cmp.Or(t.namespace, "default"), release)
	if err != nil {
		return nil, nil, err
	}
	return lock.Inherited(), lock.Release, nil
}

// takeLock waits for a lock of a release. ErrReleaseBusy says that ctx ended first.
func (h *Helm) takeLock(ctx context.Context, t target, release string, mode filelock.Mode, name ...string) (lock, error) {
	path := home.LockFile(h.locks(), strings.Join(name, "\x00"))
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

// labels are the labels that one try writes on the record.
func (op *operation) labels(opts InstallOptions, base int, until time.Time) string {
	all := map[string]string{op.label: op.id, labelHome: op.home, labelLock: op.lock, labelUntil: unixLabel(until)}
	if op.label == labelUpgrade {
		all[labelBase], all[labelTry] = strconv.Itoa(base), op.host.newID()
	}
	for k, v := range opts.Labels {
		all[k] = v
	}
	if opts.JobID != "" {
		all[labelJob] = labelValueOf(opts.JobID)
	}
	if !opts.Deadline.IsZero() {
		all[labelDeadline] = unixLabel(opts.Deadline)
	}
	if opts.CreateNamespace {
		all[labelNamespace] = "true"
	}
	packNames(all, op.crds)
	return joinLabels(all)
}

func joinLabels(all map[string]string) string {
	var pairs []string
	for _, k := range sortedKeys(all) {
		pairs = append(pairs, k+"="+all[k])
	}
	return strings.Join(pairs, ",")
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

var lockName = regexp.MustCompile(`^[0-9a-f]+\.lock$`)

// isHeld reports whether somebody holds the lock of an operation in this home.
func (op *operation) isHeld(lock string) (bool, error) {
	if !lockName.MatchString(lock) {
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
