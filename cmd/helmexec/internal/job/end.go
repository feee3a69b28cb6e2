package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// Results of hours do not depend on whether the network is there at this moment.
	outlast, cancel := context.WithTimeout(ctx, min(timeoutOf(sut), cleanUp))
	defer cancel()
	now, err := r.Helm.Status(ctx, sut.release, helmexec.StatusOptions{Namespace: installed.Namespace})
	for errors.Is(err, helmexec.ErrClusterUnreachable) && helmexec.IsTransient(err) && pause(outlast, askAgain) {
		r.Say(sut.Name, "the cluster does not answer: it is asked again whether the release is still there")
		now, err = r.Helm.Status(ctx, sut.release, helmexec.StatusOptions{Namespace: installed.Namespace})
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

// askAgain is the time between two questions to a cluster that does not answer.
const askAgain = time.Second

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

// remove uninstalls a SUT, also after an interrupt.
func (r *Runner) remove(ctx context.Context, sut SUT, s *SUTResult) error {
	timeout := timeoutOf(sut)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout+cleanUp)
	defer cancel()
	removed, err := r.Helm.Uninstall(ctx, sut.release, helmexec.UninstallOptions{Namespace: s.Namespace, Wait: true, Timeout: timeout, IgnoreNotFound: true})
	if err != nil {
		return r.notRemoved(sut, s, err)
	}
	return r.update(func() { s.Remains = view.RemainsOf(removed.Remains) })
}

// notRemoved says what to do about a SUT that may still be there.
func (r *Runner) notRemoved(sut SUT, s *SUTResult, err error) error {
	var failed *helmexec.ReleaseError
	if errors.As(err, &failed) && len(failed.Remains) > 0 {
		if err := r.update(func() { s.Remains = view.RemainsOf(failed.Remains) }); err != nil {
			return err
		}
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
	why := errors.Join(append(r.why, helmexec.ErrClusterUnreachable)...)
	_, away := r.Kind(helmexec.ErrClusterUnreachable)
	text := helmexec.ErrClusterUnreachable.Error() + ": the same command continues"
	if errors.Is(why, helmexec.ErrNamespaceNotFound) {
		text = "the namespace does not exist: make it, set createNamespace in the job file, or name another one; then the same command continues"
	} else if _, code := r.Kind(why); code != away {
		text = "no way to the cluster: mend the kubeconfig, its context, its certificate or its credentials; then the same command continues"
	}
	return openError{text, why}
}
