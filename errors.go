package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// The kinds of failure that a caller can act on. Use errors.Is. docs/errors.md of the source, which is made from these
// comments, lists the calls that give each of them.
var (
	// ErrHelmNotFound: no helm binary at Config.Binary or on PATH.
	// To do: install Helm, or set Config.Binary.
	// Retry: no.
	ErrHelmNotFound = errdef.ErrHelmNotFound
	// ErrUnsupportedVersion: the binary is Helm 2, or older than the oldest version this package drives or
	// Config.MinVersion.
	// To do: install a newer Helm, or set Config.Binary to one.
	// Retry: no.
	// From: every call that starts a helm for whose flags its version matters, and with Config.MinVersion every call
	// that starts helm
	ErrUnsupportedVersion = errdef.ErrUnsupportedVersion
	// ErrInvalidArgument: an argument was refused before any process started.
	// To do: read the text, which says what is wrong.
	// Retry: no.
	// From: every call that takes an argument
	ErrInvalidArgument = errdef.ErrInvalidArgument
	// ErrReleaseExists: the release name is in use by a release that this operation did not make.
	// To do: choose another name, or remove that release; a runner that starts again passes the OperationID of
	// before.
	// Retry: no.
	ErrReleaseExists = errdef.ErrReleaseExists
	// ErrReleaseNotFound: no release of that name in the namespace.
	// To do: check name and namespace; UninstallOptions.IgnoreNotFound and UpgradeOptions.Install accept it.
	// Retry: no.
	ErrReleaseNotFound = errdef.ErrReleaseNotFound
	// ErrNamespaceNotFound: a namespace does not exist: that of the release, which
	// InstallOptions.CreateNamespace makes, or another one that the chart puts objects into.
	// To do: create it, or set CreateNamespace.
	// Retry: no.
	ErrNamespaceNotFound = errdef.ErrNamespaceNotFound
	// ErrReleaseBusy: another install, upgrade or rollback of the release is in progress.
	// To do: wait until it has ended. If its runner is gone for good, uninstall the release.
	// Retry: later, when the other operation has ended.
	ErrReleaseBusy = errdef.ErrReleaseBusy
	// ErrChartNotFound: the repository, registry or path has no such chart or chart version.
	// To do: check the address; AddRepo if it needs credentials, since some sources hide what they refuse.
	// Retry: no.
	ErrChartNotFound = errdef.ErrChartNotFound
	// ErrBadChart: an archive or folder exists but is not a valid chart, or the schema of its values refers to another
	// document.
	// To do: tell the chart's author; SkipSchema leaves out the schema.
	// Retry: no.
	ErrBadChart = errdef.ErrBadChart
	// ErrRepoNotFound: the repository is not known, or nothing that serves charts answers at its
	// address. The same holds for a registry, and for the server of an archive.
	// To do: check the address, the network and AddRepo; then ask the owner of the source.
	// Retry: if IsTransient: then the source did not answer as it should.
	ErrRepoNotFound = errdef.ErrRepoNotFound
	// ErrUnauthorized: a repository, registry or web server answered, but refused the credentials or
	// requires some.
	// To do: give credentials by AddRepo or RegistryLogin.
	// Retry: no.
	ErrUnauthorized = errdef.ErrUnauthorized
	// ErrRenderFailed: the chart does not render, at all or with these values.
	// To do: read the text, which says where in the chart, and change the values or tell the chart's author.
	// Retry: no.
	ErrRenderFailed = errdef.ErrRenderFailed
	// ErrRenderTooLarge: rendering the chart takes more memory than Config.Limits.RenderMemory, or its
	// manifest has more bytes than RenderOutput. It is also an ErrRenderFailed.
	// To do: tell the chart's author, or raise the limit for charts that you trust.
	// Retry: no.
	ErrRenderTooLarge = errdef.ErrRenderTooLarge
	// ErrRenderTimeout: rendering the chart takes more processor time than Config.Limits.RenderTime. It
	// is also an ErrRenderFailed.
	// To do: tell the chart's author, or raise the limit for charts that you trust.
	// Retry: no.
	ErrRenderTimeout = errdef.ErrRenderTimeout
	// ErrClusterUnreachable: the Kubernetes API did not answer, or the kubeconfig and its
	// credentials lead to no API.
	// To do: check Config.Kubeconfig, KubeContext and the network.
	// Retry: if IsTransient: then the API did not answer.
	// From: every call that talks to a cluster
	ErrClusterUnreachable = errdef.ErrClusterUnreachable
	// ErrForbidden: the user that helm logs in as lacks a right that Nodes needs; the text names the verb and the resource.
	// To do: give the user that right, or take another user.
	// Retry: no.
	ErrForbidden = errdef.ErrForbidden
	// ErrNotReady: the objects were created but did not become ready in time.
	// To do: read ReleaseError.Blockers; if there are none, it became ready just after. A FailFast rule ends a hopeless wait early, KeepFailed keeps the release.
	// Retry: no, unless the reasons pass by themselves, such as a node that is added.
	ErrNotReady = errdef.ErrNotReady
	// ErrTestFailed: a test of the release failed or did not end in time.
	// To do: look at the hooks that the call returns, and at the logs of their pods.
	// Retry: as often as the tests may run: they may have effects.
	ErrTestFailed = errdef.ErrTestFailed
	// ErrNotRecorded: helm reported success, but the release record did not say so: somebody removed the release
	// meanwhile, or, if that happened at each try, something between helm and the record refuses to store it.
	// To do: find out who removed the release, or which webhook or policy refuses changes of its record.
	// Retry: no.
	ErrNotRecorded = errdef.ErrNotRecorded
	// ErrNotGone: some objects of the release still exist. ReleaseError.Status is uninstalling if the release is still
	// recorded; it is "" if the record is removed.
	// To do: look at ReleaseError.Remains, each with a cause and a state, and remove them or wait for them.
	// Retry: if the release is still recorded: a further call goes on.
	ErrNotGone = errdef.ErrNotGone
	// ErrLeftBehind: the operation failed, and so did removing what it had made.
	// To do: look at ReleaseError.Remains, and remove them by Uninstall, or by hand where there is no release.
	// Retry: the removal, by Uninstall or UninstallJob.
	ErrLeftBehind = errdef.ErrLeftBehind
	// ErrPlanStale: the cluster or the release is not as it was when the plan was made, the plan is not the one
	// that was approved, or something is in the cluster that Helm would leave beside the plan: of an upgrade that failed, or
	// an object that exists already.
	// To do: make a new plan and check it. After a failed upgrade, which the error names, call Rollback first. If the error says that
	// an object exists, find out whose it is.
	// Retry: no: with a new plan.
	ErrPlanStale = errdef.ErrPlanStale
	// ErrBadPlan: a file is not a plan, or was changed, or is of another version of this package; or a Plan is the zero one.
	// To do: plan again.
	// Retry: no.
	ErrBadPlan = errdef.ErrBadPlan
	// ErrLintFailed: a chart has faults.
	// To do: read the messages, and tell the chart's author.
	// Retry: no.
	ErrLintFailed = errdef.ErrLintFailed
	// ErrDigestMismatch: an archive is not the one that the repository's index names.
	// To do: tell the owner of the repository; set ChartOptions.Refresh if the index may be old.
	// Retry: no.
	ErrDigestMismatch = errdef.ErrDigestMismatch
	// ErrUnverified: a Keyring was given, and the chart has no signature, or none of a key in the keyring, or is not what
	// was signed.
	// To do: ask the chart's author for a signature, or for the public key.
	// Retry: no.
	ErrUnverified = errdef.ErrUnverified
	// ErrFetchTimeout: a repository, registry or web server took longer than Config.Limits.Time.
	// To do: ask the owner of the source, or raise the limit.
	// Retry: later, when the source is faster.
	ErrFetchTimeout = errdef.ErrFetchTimeout
	// ErrOutputTooLarge: something read from outside is larger than its cap.
	// To do: read the text, which says what is too large; raise the limit in Config.Limits if it has one there.
	// Retry: no.
	// From: every call that starts helm or reads a chart
	ErrOutputTooLarge = errdef.ErrOutputTooLarge
	// ErrBadManifest: a document of a manifest cannot be read.
	// To do: look at the *DocumentError of each document in the error, and tell the chart's author.
	// Retry: no.
	ErrBadManifest = errdef.ErrBadManifest
)

// Error is a helm process that failed. errors.Is finds its kind, if known, and its cause. The text
// is the reason that helm gave, shortened.
type Error struct {
	Args     []string // as given to helm, without secrets; printable
	ExitCode int      // -1 when a signal ended helm or it never started
	Signal   string   // the signal that ended helm, "" when it exited by itself
	Stderr   string   // the end of helm's stderr, without secrets; printable

	task      string // what the process was for, if its command does not say it
	subject   string // what the process was about, if its first positional does not say it
	kind      error  // a sentinel of this package
	cause     error  // why helm was stopped or could not be started
	advice    string // what may help; "" if unknown
	transient bool
}

func (e *Error) Error() string {
	text := cmp.Or(e.task, e.command()) + ": " + e.why()
	if e.advice != "" {
		text += " (" + e.advice + ")"
	}
	return text
}

// command is the command of the process, and what it was about.
func (e *Error) command() string {
	words := append([]string{"helm"}, commandOf(e.Args)...)
	if at := slices.Index(e.Args, "--"); e.subject != "" {
		words = append(words, e.subject)
	} else if at > 0 && at+1 < len(e.Args) {
		words = append(words, e.Args[at+1])
	}
	return strings.Join(words, " ")
}

// commandOf are the words of a command line before its first flag.
func commandOf(args []string) []string {
	if at := slices.IndexFunc(args, func(word string) bool { return strings.HasPrefix(word, "-") }); at >= 0 {
		return args[:at]
	}
	return args
}

// why is what ended the process, and what helm said about it.
func (e *Error) why() string {
	said := helmtext.Reason(e.Stderr, slices.ContainsFunc(e.Args, isDryRun))
	if e.cause != nil && strings.HasSuffix(said, context.Canceled.Error()) {
		said = "" // that is our signal, in helm's words
	}
	var why string
	switch {
	case e.cause != nil:
		why = e.cause.Error()
	case e.Signal != "":
		why = "ended by signal: " + e.Signal
	case said != "":
		return said
	case e.kind != nil:
		return e.kind.Error()
	default:
		return fmt.Sprintf("exit status %d", e.ExitCode)
	}
	if said != "" {
		why += ": " + said
	}
	return why
}

// isDryRun reports the flag of a helm that changes nothing.
func isDryRun(arg string) bool { return strings.HasPrefix(arg, "--dry-run") }

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.cause, e.kind} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// ReleaseError is a failed install, upgrade, rollback or uninstall, with what is known about the
// release.
type ReleaseError struct {
	Release, Namespace string
	Kind               error    // a sentinel of this package, or nil
	Status             Status   // of the release now, or of the one that is in the way; "" if there is none
	JobID              string   // with ErrReleaseExists: the JobID of the release in the way, or its hash if it is not a legal label value
	Blockers           Blockers // with ErrNotReady, or if ctx ended while Wait waited: why; empty if everything was ready just after
	FailFastRule       string   // the Name of the rule of FailFast that ended the wait; "" if none did
	Remains            []Remain // what stays in the cluster
	Err                error    // what helm, or the context, said

	also    error // the kind of the first failure, beside ErrLeftBehind
	removed bool  // by the install that failed
	late    bool  // just after the wait nothing was in the way that is known
}

func (e *ReleaseError) Error() string {
	var b strings.Builder
	b.WriteString("release " + e.Release)
	if e.Namespace != "" {
		b.WriteString(" in namespace " + e.Namespace)
	}
	for _, kind := range []error{e.also, e.Kind} {
		if kind != nil {
			b.WriteString(": " + kind.Error())
		}
	}
	if e.removed {
		b.WriteString(" (removed again)")
	}
	if e.Status != "" {
		fmt.Fprintf(&b, " (status %s", e.Status)
		if e.JobID != "" {
			b.WriteString(", of job " + e.JobID)
		}
		b.WriteString(")")
	}
	if len(e.Blockers) > 0 {
		b.WriteString(": " + e.Blockers.String())
	} else if e.late {
		b.WriteString(": just after its time nothing is known to be in the way")
	}
	wrong := e.Kind == ErrLeftBehind || e.Kind == ErrNotGone || e.Status == StatusUninstalling // and not by design
	var remains []string
	for _, r := range e.Remains {
		if wrong || r.Cause != RemainNamespace { // that was asked for, and may have been there before
			remains = append(remains, r.String())
		}
	}
	if wrong && len(remains) > 0 {
		b.WriteString(": " + folded(remains))
	}
	if e.Err != nil {
		b.WriteString(": " + e.said())
	}
	if !wrong && len(remains) > 0 {
		b.WriteString("; what Helm does not remove stays: " + folded(remains))
	}
	return b.String()
}

// said is the text of Err, without a blocker that the Blockers name already.
func (e *ReleaseError) said() string {
	text := e.Err.Error()
	if hopeless := (*hopelessError)(nil); errors.As(e.Err, &hopeless) && slices.Contains(e.Blockers, hopeless.blocker) {
		text = strings.ReplaceAll(text, hopeless.about(), "")
	}
	return text
}

// folded lists the first few of many.
func folded(lines []string) string {
	const most = 5
	if over := len(lines) - most; over > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", over))
	}
	return strings.Join(lines, "; ")
}

// Unwrap gives the kind and the cause.
func (e *ReleaseError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.also, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// recordedNothing reports whether helm says that it has recorded nothing.
func recordedNothing(err error) bool {
	var e *Error
	return errors.As(err, &e) && helmtext.RecordedNothing(e.Stderr)
}
