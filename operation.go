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

// The labels that an operation puts on the release record. An upgrade inherits labels, so the
// install's own key outlives it.
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
	labelTry      = labelPrefix + "try"      // one helm of an upgrade: later revisions inherit its labels, the first one is its own

	labelSweep     = labelPrefix + "sweep"            // set on what only stands to be uninstalled, see sweep
	labelNamespace = labelPrefix + "create-namespace" // set when the install was to make the namespace
	labelCRDs      = labelPrefix + "crds-"            // and a number: the names of the CRDs of subcharts, see packNames
)

// hashedLabel matches what labelValueOf makes of texts that are no label values.
var hashedLabel = regexp.MustCompile(`^sha256-[0-9a-f]{40}$`)

// labelValueOf gives each text a label value of its own: itself where that is legal and no hash, else its hash.
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
	// Two locks, which helm inherits, so that they last as long as any helm of the operation,
	// whatever becomes of its runner. own is of the operation's id: there is one runner of it at a
	// time. using is of the release, shared among all that work on it and closed to its uninstall.
	own   lock
	lock  string // the name of the file of own
	using func() // frees the lock of the release
	files []*os.File
}

// begin makes an operation the only one of its id on this host, and makes it known to its job. It waits while another runner,
// or the helm that a killed runner left behind, is at work on it, or an uninstall on its release.
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

// lockRelease takes the lock of a release on this host: shared by those that change it, alone by
// what removes it. files are what helm inherits of it.
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

// takeLock waits for a lock that keeps others from a release. ErrReleaseBusy says that ctx ended first.
func (h *Helm) takeLock(ctx context.Context, t target, release string, mode filelock.Mode, name ...string) (lock, error) {
	path := home.LockFile(h.locks(), strings.Join(name, "\x00"))
	lock, err := h.host.takeLock(ctx, path, mode)
	switch {
	case errors.Is(err, filelock.ErrHeld):
		return nil, &ReleaseError{Release: release, Namespace: t.namespace, Kind: ErrReleaseBusy,
			Err: fmt.Errorf("another runner, or the helm it left, is at work on it (%s is locked): %w", path, contextError(ctx))}
	case err != nil:
		return nil, &ReleaseError{Release: release, Namespace: t.namespace, Err: fmt.Errorf("its lock cannot be taken: %w", err)}
	}
	return lock, nil
}

// locks is the folder of the locks that keep others from a release.
func (h *Helm) locks() string { return h.home.Path("operations") }

// homeID names this home on this host. A pending release with the same name was written by a helm
// whose lock can be asked.
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

// labels are what one try writes on the record.
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

// mayLive tells whether the helm that wrote a record may still be at work. In this home its lock
// tells, which is dead if op holds it; elsewhere, or where the lock cannot be asked, the time on the
// record decides.
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

// isHeld tells whether somebody holds the lock of an operation in this home.
func (op *operation) isHeld(lock string) (bool, error) {
	if !lockName.MatchString(lock) {
		return false, nil
	}
	// Shared, so that two who ask at once do not take each other for its holder.
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

// graceContext ends a while after ctx: what an ended call has begun is put in order in that time.
func graceContext(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(contextError(ctx)) })
	})
	return later, func() { stop(); cancel(nil) }
}

// host is the machine that releases are changed from, as far as an outcome depends on it: what runs a
// helm, its clock, its name, ids that nobody else has, and the locks that others on it see. With another
// one for each, a test has several hosts in one process. What is kept in files is in Config.Home.
type host struct {
	run      func(context.Context, process.Command) process.Result
	now      func() time.Time
	name     func() string
	newID    func() string
	takeLock func(ctx context.Context, file string, mode filelock.Mode) (lock, error)
	tryLock  func(file string, mode filelock.Mode) (lock, error)
}

// lock is one that is held.
type lock interface {
	Path() string
	Inherited() []*os.File // as long as a helm has them open the lock is held
	Release()
}

// thisHost is the real one.
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

// held keeps a lock that was not taken from being an interface that is not nil.
func held(l *filelock.Lock, err error) (lock, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
