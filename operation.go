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
	labelRevision = labelPrefix + "revision" // the revision that an upgrade is to be, for later ones inherit its labels

	labelSweep     = labelPrefix + "sweep"            // set on what only stands to be uninstalled, see sweep
	labelNamespace = labelPrefix + "create-namespace" // set when the install was to make the namespace
)

// hashedLabel matches what labelValueOf makes of texts that are no label values.
var hashedLabel = regexp.MustCompile(`^sha256-[0-9a-f]{40}$`)

// labelValueOf gives each text a label value of its own: itself where that is legal and no hash, else its hash.
func labelValueOf(text string) string {
	if text != "" && labelValue.MatchString(text) && !hashedLabel.MatchString(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + hex.EncodeToString(sum[:20])
}

func unixLabel(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// operation is one install or upgrade through all its tries.
type operation struct {
	release string
	target  target
	label   string // labelInstall or labelUpgrade
	id      string // the value of that label
	home    string
	locks   string // the folder of the locks of all operations in that home
	// Two locks, which helm inherits, so that they last as long as any helm of the operation,
	// whatever becomes of its runner. own is of the operation's id: there is one runner of it at a
	// time. using is of the release, shared among all that work on it and closed to its uninstall.
	own   fileLock
	path  string // of own
	using func() // frees the lock of the release
	files []*os.File
}

// begin makes an operation the only one of its id on this host. It waits while another runner,
// or the helm that a killed runner left behind, is at work on it, or an uninstall on its release.
func (h *Helm) begin(ctx context.Context, release string, t target, label, id string) (*operation, error) {
	if id == "" {
		id = rand.Text()
	}
	op := &operation{release: release, target: t, label: label, id: labelValueOf(id), locks: h.locks()}
	var err error
	if op.home, err = h.homeID(); err != nil {
		return nil, err
	}
	using, free, err := h.lockRelease(ctx, t, release, true)
	if err != nil {
		return nil, err
	}
	op.path = h.lockPath(strings.Join([]string{label, op.id, t.kubeconfig, t.context, t.namespace, release}, "\x00"))
	if op.own, err = awaitFileLock(ctx, op.path, false); err != nil {
		free()
		return nil, &ReleaseError{Release: release, Namespace: t.namespace, Kind: ErrReleaseBusy, Err: err}
	}
	op.using, op.files = free, append(op.own.inherited(), using...)
	return op, nil
}

// end frees the locks. The file of the operation goes first, so that nobody who finds it waits for
// nothing.
func (op *operation) end() {
	_ = os.Remove(op.path)
	op.own.close()
	op.using()
}

// inherited is what a helm of the operation inherits.
func (op *operation) inherited() []*os.File { return op.files }

// lockRelease takes the lock of a release on this host: shared by those that change it, alone by
// what removes it. files are what helm inherits of it.
func (h *Helm) lockRelease(ctx context.Context, t target, release string, shared bool) (files []*os.File, free func(), err error) {
	name := strings.Join([]string{"release", t.kubeconfig, t.context, cmp.Or(t.namespace, "default"), release}, "\x00")
	path := h.lockPath(name)
	lock, err := awaitFileLock(ctx, path, shared)
	if err != nil {
		return nil, nil, &ReleaseError{Release: release, Namespace: t.namespace, Kind: ErrReleaseBusy, Err: err}
	}
	return lock.inherited(), func() {
		lock.close()
		// The last user removes the file.
		if last, ok, err := tryFileLock(path, false); ok && err == nil {
			_ = os.Remove(path)
			last.close()
		}
	}, nil
}

func (h *Helm) lockPath(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(h.locks(), hex.EncodeToString(sum[:16])+".lock")
}

func (h *Helm) locks() string { return filepath.Join(h.state, "operations") }

// awaitFileLock waits for a lock until ctx ends.
func awaitFileLock(ctx context.Context, path string, shared bool) (fileLock, error) {
	for {
		lock, ok, err := tryFileLock(path, shared)
		if err != nil {
			return lock, fmt.Errorf("lock of the operation: %w", err)
		}
		if !ok {
			if !sleep(ctx, 100*time.Millisecond) {
				return lock, fmt.Errorf("another runner, or the helm it left, is at work on it (%s is locked): %w", path, contextError(ctx))
			}
			continue
		}
		held, err1 := lock.stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, there) {
			return lock, nil
		}
		// The holder before us removed the file when it was done: lock the one that is there now.
		lock.close()
	}
}

// homeID names this home on this host. A pending release with the same name was written by a helm
// whose lock can be asked.
func (h *Helm) homeID() (string, error) {
	file := filepath.Join(h.state, "id")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		mine := []byte(rand.Text())
		tmp := file + "." + string(mine)
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
	host, _ := os.Hostname()
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(text)) + "\x00" + host))
	return hex.EncodeToString(sum[:12]), nil
}

// labels are what one try writes on the record.
func (op *operation) labels(opts InstallOptions, revision int, until time.Time) string {
	all := map[string]string{op.label: op.id, labelHome: op.home, labelLock: filepath.Base(op.path), labelUntil: unixLabel(until)}
	if op.label == labelUpgrade {
		all[labelRevision] = strconv.Itoa(revision)
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
	return joinLabels(all)
}

func joinLabels(all map[string]string) string {
	var pairs []string
	for _, k := range sortedKeys(all) {
		pairs = append(pairs, k+"="+all[k])
	}
	return strings.Join(pairs, ",")
}

// ours tells whether the record was written by this operation.
func (op *operation) ours(r *Release) bool {
	return r.Labels[op.label] == op.id && (op.label == labelInstall || r.Labels[labelRevision] == strconv.Itoa(r.Revision))
}

// mayLive tells whether the helm that wrote a record may still be at work. In this home its lock
// tells, which is dead if op holds it; elsewhere the time on the record decides.
func (op *operation) mayLive(r *Release, now time.Time) bool {
	if r.Labels[labelHome] == op.home {
		lock := r.Labels[labelLock]
		return lock != filepath.Base(op.path) && op.isHeld(lock)
	}
	until, err := strconv.ParseInt(r.Labels[labelUntil], 10, 64)
	return err != nil || now.Unix() <= until
}

var lockName = regexp.MustCompile(`^[0-9a-f]+\.lock$`)

// isHeld tells whether somebody holds the lock of an operation in this home.
func (op *operation) isHeld(lock string) bool {
	path := filepath.Join(op.locks, lock)
	if _, err := os.Stat(path); err != nil || !lockName.MatchString(lock) {
		return false
	}
	l, ok, err := tryFileLock(path, false)
	if ok && err == nil {
		_ = os.Remove(path)
		l.close()
	}
	return !ok && err == nil
}

// graceContext ends a while after ctx: what an ended call has begun is put in order in that time.
func graceContext(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(contextError(ctx)) })
	})
	return later, func() { stop(); cancel(nil) }
}
