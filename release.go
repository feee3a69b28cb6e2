package helmexec

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
)

// Status is the state of a release as Helm records it.
type Status string

// The states of a release.
const (
	StatusUnknown         Status = "unknown"
	StatusDeployed        Status = "deployed"
	StatusUninstalled     Status = "uninstalled" // removed, its history kept
	StatusSuperseded      Status = "superseded"
	StatusFailed          Status = "failed"
	StatusUninstalling    Status = "uninstalling"
	StatusPendingInstall  Status = "pending-install"
	StatusPendingUpgrade  Status = "pending-upgrade"
	StatusPendingRollback Status = "pending-rollback"
)

// Pending reports whether the record says that an operation is running. If the helm that wrote the
// record is killed, it stays pending.
func (s Status) Pending() bool { return strings.HasPrefix(string(s), "pending-") }

// Release is one revision of a release. Which fields are filled depends on the command: Helm's list
// has no description and no labels.
type Release struct {
	Name, Namespace string
	Revision        int
	Status          Status
	// ChartName, ChartVersion: Helm prints them joined ("web-1.2.3"); they are split at the first
	// dash that is followed by a semantic version.
	ChartName, ChartVersion string
	AppVersion              string
	Description             string
	Notes                   string
	Updated                 time.Time
	// Labels of the release record. List and History give none.
	Labels map[string]string
	// Recovered is set if the try that made this revision seemed lost, and was found to have
	// succeeded.
	Recovered bool
}

// ListOptions narrows List. The zero value lists every release of Config.Namespace.
type ListOptions struct {
	Namespace     string
	AllNamespaces bool
	// Filter is a regular expression on the release name, unanchored, as Helm's --filter.
	Filter string
	// Selector is a label query on the release record, "k=v,k2!=v2,k3 in (a, b)".
	Selector string
	// Statuses keeps the releases in one of these states; empty keeps all.
	Statuses                []Status
	Kubeconfig, KubeContext string
}

// List gives the latest revision of each release, in every state unless Statuses says otherwise,
// sorted by name, without a limit on their number. Starts one helm process.
//
// Errors: ErrInvalidArgument, ErrClusterUnreachable.
func (h *Helm) List(ctx context.Context, opts ListOptions) (_ []Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "List", Namespace: opts.Namespace})
	defer end(&err)
	if _, err := regexp.Compile(opts.Filter); err != nil {
		return nil, errdef.Invalidf("list filter: %v", err)
	}
	if err := argument.Selector(opts.Selector); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	t, err := h.target(opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	d, err := h.dialect(ctx)
	if err != nil {
		return nil, err
	}
	out, err := h.run(ctx, invocation{args: listArgs(d, t, opts), cluster: true})
	if err != nil {
		return nil, err
	}
	releases, err := parseList(out)
	if len(opts.Statuses) > 0 {
		releases = slices.DeleteFunc(releases, func(r Release) bool { return !slices.Contains(opts.Statuses, r.Status) })
	}
	return releases, err
}

func listArgs(d helmtext.Dialect, t target, opts ListOptions) []string {
	a := args{"list", "--output=json", "--max=0", "--time-format=" + time.RFC3339Nano}
	a.add(d.ListAll...)
	a.is("--all-namespaces", opts.AllNamespaces)
	a.str("--filter", opts.Filter)
	a.str("--selector", opts.Selector)
	if opts.AllNamespaces {
		t.namespace = ""
	}
	return append(a, t.flags()...)
}

func parseList(out []byte) ([]Release, error) {
	var rows []struct {
		Name, Namespace, Revision, Updated, Status, Chart string
		AppVersion                                        string `json:"app_version"`
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		return nil, badOutput("list", err)
	}
	releases := make([]Release, 0, len(rows))
	for _, r := range rows {
		rel := Release{Name: r.Name, Namespace: r.Namespace, Status: Status(r.Status), AppVersion: r.AppVersion}
		var err error
		if rel.Revision, err = strconv.Atoi(r.Revision); err != nil {
			return nil, badOutput("list", err)
		}
		rel.Updated, _ = time.Parse(time.RFC3339Nano, r.Updated)
		rel.ChartName, rel.ChartVersion = splitChart(r.Chart)
		releases = append(releases, rel)
	}
	return releases, nil
}

// splitChart takes "web-1.2.3" apart.
func splitChart(joined string) (name, version string) {
	for i := range joined {
		if joined[i] != '-' {
			continue
		}
		if _, err := semver.StrictNewVersion(strings.TrimPrefix(joined[i+1:], "v")); err == nil {
			return joined[:i], joined[i+1:]
		}
	}
	return joined, ""
}

// StatusOptions is for Status.
type StatusOptions = GetOptions

// Status gives one revision of a release as Helm records it. Starts one helm process, whose cost
// does not grow with the number of releases.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) Status(ctx context.Context, release string, opts StatusOptions) (_ *Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Status", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.revisionTarget(release, opts)
	if err != nil {
		return nil, err
	}
	rec, err := h.record(ctx, t, release, opts.Revision)
	if err != nil {
		return nil, err
	}
	return rec.release(), nil
}

// releaseTarget is target for a call on one release.
func (h *Helm) releaseTarget(release, namespace, kubeconfig, kubeContext string) (target, error) {
	if err := argument.Release(release); err != nil {
		return target{}, err
	}
	return h.target(namespace, kubeconfig, kubeContext)
}

// revisionTarget is target for a call on one revision of a release.
func (h *Helm) revisionTarget(release string, opts GetOptions) (target, error) {
	if err := argument.Count("Revision", opts.Revision); err != nil {
		return target{}, err
	}
	return h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
}

// HistoryOptions is for History. Max 0 means all revisions that Helm keeps.
type HistoryOptions struct {
	Namespace               string
	Max                     int
	Kubeconfig, KubeContext string
}

// History gives the revisions of a release, the oldest first. Starts one helm process.
//
// Helm's history contains no namespace. Release.Namespace is the requested one: opts.Namespace,
// Config.Namespace, or HELM_NAMESPACE if that reaches helm. It is empty if none was requested and helm used the
// namespace of the kubeconfig; Status returns that one.
//
// Errors: ErrReleaseNotFound, ErrClusterUnreachable.
func (h *Helm) History(ctx context.Context, release string, opts HistoryOptions) (_ []Release, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "History", Release: release, Namespace: opts.Namespace})
	defer end(&err)
	t, err := h.releaseTarget(release, opts.Namespace, opts.Kubeconfig, opts.KubeContext)
	if err != nil {
		return nil, err
	}
	if err := argument.Count("Max", opts.Max); err != nil {
		return nil, err
	}
	return h.history(ctx, t, release, opts.Max)
}

// history reads the last max revisions, 0 being all.
func (h *Helm) history(ctx context.Context, t target, release string, max int) ([]Release, error) {
	if max <= 0 {
		max = 1 << 20
	}
	a := args{"history", "--output=json"}
	a.number("--max", max)
	a.add(t.flags()...)
	a.add("--", release)
	out, err := h.run(ctx, invocation{args: a, cluster: true})
	if err != nil {
		return nil, err
	}
	releases, err := parseHistory(out)
	if err != nil {
		return nil, badOutput("history", err)
	}
	for i := range releases {
		releases[i].Name, releases[i].Namespace = release, h.namespaceOf(t)
	}
	return releases, nil
}

// namespaceOf is the namespace that a command gets, by a flag or by its environment; "" if it gets none.
func (h *Helm) namespaceOf(t target) string {
	return cmp.Or(t.namespace, h.env.value("HELM_NAMESPACE"))
}

func parseHistory(out []byte) ([]Release, error) {
	var rows []struct {
		Revision           int
		Updated            helmTime
		Status             Status
		Chart, Description string
		AppVersion         string `json:"app_version"`
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("no revisions in it")
	}
	releases := make([]Release, 0, len(rows))
	for _, r := range rows {
		rel := Release{
			Revision: r.Revision, Status: r.Status, AppVersion: r.AppVersion, Description: r.Description, Updated: r.Updated.Time,
		}
		rel.ChartName, rel.ChartVersion = splitChart(r.Chart)
		releases = append(releases, rel)
	}
	return releases, nil
}

// badOutput is the error when helm exited 0 but its output cannot be read.
func badOutput(command string, err error) error {
	return fmt.Errorf("helm %s: its output cannot be read: %w", command, err)
}

// helmTime is a time in Helm's JSON, where Helm 3 prints the zero time as "".
type helmTime struct{ time.Time }

func (t *helmTime) UnmarshalJSON(b []byte) error {
	if string(b) == `""` {
		return nil
	}
	return t.Time.UnmarshalJSON(b)
}
