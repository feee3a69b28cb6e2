package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// GetOptions is for Status and the Get calls. Revision 0 is the latest.
type GetOptions struct {
	Namespace               string
	Revision                int
	Kubeconfig, KubeContext string
}

// Hook is one hook of a release.
type Hook struct {
	Kind, Name     string
	Events         []string // pre-install, post-delete, test …
	DeletePolicies []string // before-hook-creation, hook-succeeded, hook-failed
	// Phase is how its last run went: "" (never ran), Unknown, Running, Succeeded or Failed.
	Phase    string
	Manifest Manifest
	// Logs are those of a test that is a pod, by container, if TestOptions.Logs asked for them: the last MiB of each, as the container
	// wrote them, and of at most 100 containers. Helm 3 prints only pods with one container and does not name it; its name is "" then.
	Logs map[string]string
}

// ValuesOptions is for GetValues. Revision 0 is the latest.
type ValuesOptions struct {
	// All adds the chart's own values below those of the caller, as the templates saw them.
	All                     bool
	Namespace               string
	Revision                int
	Kubeconfig, KubeContext string
}

// GetValues returns the values that the caller of the install or upgrade gave. Without any, it returns
// empty values, not nil. Starts one helm process.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) GetValues(ctx context.Context, release string, opts ValuesOptions) (_ Values, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "GetValues", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.revisionTarget(release, GetOptions{opts.Namespace, opts.Revision, opts.Kubeconfig, opts.KubeContext})
	if err != nil {
		return nil, err
	}
	a := args{"get", "values", "--output=json"}
	a.is("--all", opts.All)
	a.number("--revision", opts.Revision)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true})
	if err != nil {
		return nil, err
	}
	values, err := parseGetValues(out)
	if err != nil {
		return nil, badOutput("get values", err)
	}
	return values, nil
}

// parseGetValues reads the values of a release. Helm prints null where there are none.
func parseGetValues(out []byte) (Values, error) {
	var table map[string]any
	decoder := safeyaml.UseNumber(json.NewDecoder(bytes.NewReader(out)))
	if err := decoder.Decode(&table); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the values")
	}
	return Values(table).Normal(), nil
}

// GetManifest returns the objects of a release as they were applied, without hooks. Starts one helm
// process.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) GetManifest(ctx context.Context, release string, opts GetOptions) (_ Manifest, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "GetManifest", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	rec, err := h.get(ctx, release, opts)
	if err != nil {
		return nil, err
	}
	return Manifest(rec.Manifest), nil
}

// GetNotes returns the notes of a release, its chart's message to the user. Starts one helm
// process.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) GetNotes(ctx context.Context, release string, opts GetOptions) (_ string, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "GetNotes", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	rec, err := h.get(ctx, release, opts)
	if err != nil {
		return "", err
	}
	return string(rec.Notes), nil
}

// GetHooks returns the hooks of a release, including tests. Starts one helm process.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) GetHooks(ctx context.Context, release string, opts GetOptions) (_ []Hook, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "GetHooks", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	rec, err := h.get(ctx, release, opts)
	if err != nil {
		return nil, err
	}
	return rec.hooks(), nil
}

func (h *Helm) get(ctx context.Context, release string, opts GetOptions) (*record, error) {
	t, err := h.revisionTarget(release, opts)
	if err != nil {
		return nil, err
	}
	rec, err := h.record(ctx, t, release, opts.Revision)
	if err == nil && rec.Partial {
		err = fmt.Errorf("%w: the record of release %s", ErrOutputTooLarge, release)
	}
	return rec, err
}

func (r *record) hooks() []Hook {
	list := func(s hexText) []string { return strings.Fields(strings.Trim(string(s), "[]")) }
	hooks := make([]Hook, 0, len(r.Hooks))
	for _, t := range r.Hooks {
		hooks = append(hooks, Hook{
			Kind: string(t.Kind), Name: string(t.Name), Phase: t.Phase, Manifest: Manifest(t.Manifest),
			Events: list(t.Events), DeletePolicies: list(t.DeletePolicies),
		})
	}
	return hooks
}

// TestOptions is for Test.
type TestOptions struct {
	Namespace string
	// Timeout is how long helm waits for each test. 0 is Helm's default, 5 minutes.
	Timeout time.Duration
	// Names limits the run to these tests, by the names of their hooks.
	Names []string
	// Logs fetches what the pods of the tests have written, also after a test that failed. A pod that is gone, by the delete
	// policy of its hook for example, has none, and with Helm 3 neither have the tests after it. Helm 3 cannot give those of a Job.
	// What helm prints after 64 MiB is dropped without an error: then a log ends early, and those after it are missing.
	Logs                    bool
	ExtraArgs               []string // as in InstallOptions
	Kubeconfig, KubeContext string
}

// Test runs the tests of a release and returns its test hooks with the phase of their last run.
// Starts two helm processes. It is not retried: a test may have effects.
//
// Errors: ErrTestFailed with the hooks, if a test failed or did not end in time;
// ErrReleaseNotFound, ErrClusterUnreachable. That logs cannot be fetched is none.
func (h *Helm) Test(ctx context.Context, release string, opts TestOptions) (_ []Hook, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Test", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	a, err := testArgs(t, release, opts)
	if err != nil {
		return nil, err
	}
	out, testErr := h.run(ctx, invocation{args: a, cluster: true, mutates: true, waits: true})
	if testErr != nil && (errors.Is(testErr, ErrReleaseNotFound) || errors.Is(testErr, ErrClusterUnreachable)) {
		return nil, testErr
	}
	later, cancel := graceContext(ctx, h.cfg.GracePeriod)
	defer cancel()
	rec, err := h.record(later, t, release, 0)
	if err != nil {
		return nil, errors.Join(testErr, err)
	}
	tests, failed, passed := testsOf(rec, opts.Names)
	if opts.Logs {
		addLogs(tests, out)
		var e *Error
		if passed && errors.As(testErr, &e) && helmtext.LacksLogs(e.Stderr) {
			testErr = nil // helm fails because it cannot get the logs
		}
	}
	if testErr != nil && failed && ctx.Err() == nil {
		return tests, &ReleaseError{Release: release, Namespace: t.namespace, Kind: ErrTestFailed, Status: rec.Status, Blockers: testBlockers(tests), Err: testErr}
	}
	return tests, testErr
}

func testArgs(t target, release string, opts TestOptions) (args, error) {
	if err := cmp.Or(argument.Duration("Timeout", opts.Timeout), argument.Extra(opts.ExtraArgs)); err != nil {
		return nil, err
	}
	a := append(args{"test"}, opts.ExtraArgs...)
	a.duration("--timeout", opts.Timeout)
	a.is("--logs", opts.Logs)
	for _, name := range opts.Names {
		if err := argument.Hook(name); err != nil {
			return nil, err
		}
		a.add("--filter=name=" + name)
	}
	a.add(t.flags()...)
	return append(a, "--", release), nil
}

// testsOf are the tests of a release. failed means that one of them did, or did not end; passed that those that ran did.
func testsOf(rec *record, ran []string) (tests []Hook, failed, passed bool) {
	passed = true
	for _, hk := range rec.hooks() {
		if slices.Contains(hk.Events, "test") || slices.Contains(hk.Events, "test-success") {
			tests = append(tests, hk)
			failed = failed || hk.Phase == "Failed" || hk.Phase == "Running"
			passed = passed && (hk.Phase == "Succeeded" || len(ran) > 0 && !slices.Contains(ran, hk.Name))
		}
	}
	return tests, failed, passed
}

// maxTestLog is how much of the end of one container's log is kept.
const maxTestLog = 1 << 20

// addLogs adds to the tests what helm printed of their logs.
func addLogs(tests []Hook, out []byte) {
	var names []string
	for _, t := range tests {
		names = append(names, t.Name)
	}
	logs := helmtext.TestLogs(out, names, maxTestLog)
	for i, t := range tests {
		tests[i].Logs = logs[t.Name]
	}
}

func testBlockers(tests []Hook) Blockers {
	var all Blockers
	for _, t := range tests {
		if t.Phase == "Failed" || t.Phase == "Running" {
			all = append(all, Blocker{ObjectRef: ObjectRef{Kind: t.Kind, Name: t.Name}, Reason: "Test" + t.Phase})
		}
	}
	return all
}
