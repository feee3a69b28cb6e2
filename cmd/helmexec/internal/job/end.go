package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// errReplaced: the release that has the name of a SUT now was not installed by the job, and stays.
var errReplaced = errors.New("another release has its name now")

// installLabel is on the record of a release, and on those of its upgrades. It names the operation that installed it.
const installLabel = "helmexec/install"

// stillThere looks, when a SUT has been measured, whether it is what was installed. Somebody else, or a clean-up that ran
// meanwhile, may have removed it, and then the benchmark has measured nothing.
func (r *Runner) stillThere(ctx context.Context, sut SUT, installed *helmexec.Release) error {
	const alone = "the results are not of this SUT alone"
	opts := helmexec.StatusOptions{Namespace: installed.Namespace}
	now, err := r.Helm.Status(ctx, sut.release, opts)
	// Results of hours do not depend on whether the network is there at this moment.
	outlast, cancel := context.WithTimeout(ctx, min(timeoutOf(sut), cleanUp))
	defer cancel()
	for said := false; helmexec.IsTransient(err) && pause(outlast, askAgain); said = true {
		if !said {
			r.Say(sut.Name, "the cluster does not answer: it is asked again whether the release is still there")
		}
		later, laterErr := r.Helm.Status(outlast, sut.release, opts)
		if laterErr != nil && outlast.Err() != nil {
			break // the error before says more
		}
		now, err = later, laterErr
	}
	switch {
	case errors.Is(err, helmexec.ErrReleaseNotFound):
		return fmt.Errorf("somebody removed it while it was measured: %s: %w", alone, err)
	case err != nil:
		return fmt.Errorf("whether it was there until its benchmark ended is not known: %w", err)
	case now.Labels[installLabel] != installed.Labels[installLabel]:
		return fmt.Errorf("somebody removed it while it was measured: %s: %w: %w", alone, helmexec.ErrReleaseNotFound, errReplaced)
	case now.Revision != installed.Revision || now.Status != helmexec.StatusDeployed:
		return fmt.Errorf("somebody changed it while it was measured: %s: %w: it is revision %d now, %s",
			alone, helmexec.ErrReleaseNotFound, now.Revision, now.Status)
	}
	return nil
}

// askAgain is the time between two questions to a cluster that does not answer. That between two removals grows to askSeldom.
const (
	askAgain  = time.Second
	askSeldom = 10 * time.Second
)

// pause reports whether a time passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func timeoutOf(sut SUT) time.Duration { return cmp.Or(time.Duration(sut.Timeout), helmTimeout) }

// remove uninstalls a SUT, also after an interrupt. It tries again as long as a further try can succeed, but only once more on a
// cluster that answers: there the objects just do not go.
func (r *Runner) remove(ctx context.Context, sut SUT, s *SUTResult) error {
	timeout := timeoutOf(sut)
	outlast := time.Now().Add(timeout + min(timeout, cleanUp))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout+cleanUp)
	defer cancel()
	opts := helmexec.UninstallOptions{Namespace: s.Namespace, Wait: true, Timeout: timeout, IgnoreNotFound: true}
	removed, err := r.Helm.Uninstall(ctx, sut.release, opts)
	said, answered := false, false
	for wait := askAgain; goesOn(err) && time.Now().Add(wait).Before(outlast); wait = min(2*wait, askSeldom) {
		if knowsRemains(err) {
			if answered {
				break
			}
			answered = true
		}
		if !said {
			r.Say(sut.Name, "not removed yet, tried again until %s: %s", outlast.UTC().Format(time.RFC3339), view.Advice(err.Error()))
			said = true
		}
		if !pause(ctx, wait) {
			break
		}
		// Within the time of all tries, so that the objects and not the time are the reason if this one fails.
		opts.Timeout = min(timeout, max(time.Until(outlast), time.Second).Round(time.Second))
		later, laterErr := r.Helm.Uninstall(ctx, sut.release, opts)
		if laterErr != nil && ctx.Err() != nil {
			break // the error before says more
		}
		removed, err = later, laterErr
	}
	if err != nil {
		return r.notRemoved(sut, s, err)
	}
	if removed.Release == nil {
		return nil // it found nothing, and knows nothing of what stays
	}
	return r.update(func() { s.Remains = view.RemainsOf(removed.Remains) })
}

// knowsRemains reports whether the cluster has said, after a failure, what is still there.
func knowsRemains(err error) bool {
	var failed *helmexec.ReleaseError
	return errors.As(err, &failed) && len(failed.Remains) > 0
}

// leftRelease reports whether a failed install may have left its release, because its own clean-up failed.
func leftRelease(err error) bool {
	var failed *helmexec.ReleaseError
	return errors.Is(err, helmexec.ErrLeftBehind) && errors.As(err, &failed) &&
		slices.ContainsFunc(failed.Remains, func(r helmexec.Remain) bool { return r.Cause == helmexec.RemainRecord })
}

// goesOn reports whether a further uninstall may succeed where one has failed. If the record is gone, it would find nothing
// and leave the objects.
func goesOn(err error) bool {
	var failed *helmexec.ReleaseError
	if errors.Is(err, helmexec.ErrNotGone) {
		return errors.As(err, &failed) && failed.Status == helmexec.StatusUninstalling
	}
	return helmexec.IsTransient(err)
}

// notRemoved says what to do about a SUT that may still be there.
func (r *Runner) notRemoved(sut SUT, s *SUTResult, err error) error {
	if err := r.remains(s, err); err != nil {
		return err
	}
	clean := "helmexec job clean " + quoted(r.spec.Job)
	if s.Namespace != "" {
		clean += " -n " + s.Namespace
	}
	if r.Kubeconfig != "" {
		clean += " --kubeconfig " + quoted(r.Kubeconfig)
	}
	if r.KubeContext != "" {
		clean += " --kube-context " + quoted(r.KubeContext)
	}
	when := "removes it"
	if errors.Is(err, helmexec.ErrClusterUnreachable) {
		when += " when the cluster answers"
	}
	return fmt.Errorf("not removed: release %s may still be installed; `%s` %s: %w", sut.release, clean, when, err)
}

// remains keeps what stays of a SUT by an error, if that says it.
func (r *Runner) remains(s *SUTResult, err error) error {
	var failed *helmexec.ReleaseError
	if !errors.As(err, &failed) || len(failed.Remains) == 0 {
		return nil
	}
	return r.update(func() { s.Remains = view.RemainsOf(failed.Remains) })
}

// quoted is a word for a shell.
func quoted(word string) string {
	if !strings.ContainsFunc(word, func(c rune) bool { return !strings.ContainsRune("._-/", c) && !isPlain(c) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func isPlain(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// openError says in short what the SUTs have said at length.
type openError struct {
	text string
	error
}

func (e openError) Error() string { return e.text }
func (e openError) Unwrap() error { return e.error }

// noNamespace reports whether an install found that there is no namespace for it, so that it made nothing. A chart may also put
// objects into another namespace that does not exist, after it has made some.
func noNamespace(err error, namespace string) bool {
	return errors.Is(err, helmexec.ErrNamespaceNotFound) && strings.Contains(err.Error(), fmt.Sprintf("namespaces %q not found", namespace))
}

// notBegun is the error of a job that had no cluster, or no namespace in it.
func (r *Runner) notBegun() error {
	why := errors.Join(append(r.open, helmexec.ErrClusterUnreachable)...)
	_, away := r.Kind(helmexec.ErrClusterUnreachable)
	text := helmexec.ErrClusterUnreachable.Error() + ": start the same command again to continue"
	if errors.Is(why, helmexec.ErrNamespaceNotFound) {
		text = "the namespace does not exist: make it, set createNamespace in the job file, or name another one; then start the same command again to continue"
	} else if _, code := r.Kind(why); code != away {
		text = "no way to the cluster: mend the kubeconfig, its context, its certificate or its credentials; then start the same command again to continue"
	}
	return openError{text, why}
}
