package view

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
)

// Release is one revision of a release.
type Release struct {
	Name         string            `json:"name" doc:"name of the release"`
	Namespace    string            `json:"namespace,omitempty" doc:"its namespace"`
	Revision     int               `json:"revision" doc:"its number"`
	Status       string            `json:"status" doc:"as Helm records it: deployed, failed, pending-install …"`
	Chart        string            `json:"chart" doc:"name of the chart"`
	ChartVersion string            `json:"chartVersion" doc:"its version"`
	AppVersion   string            `json:"appVersion,omitempty" doc:"version of what it installs"`
	Description  string            `json:"description,omitempty" doc:"what Helm or the caller wrote about it"`
	Updated      string            `json:"updated,omitempty" doc:"when, in UTC"`
	Job          string            `json:"job,omitempty" doc:"the job that it was installed for, or its hash if no label can hold the id; without one, and in list and overdue, the job that its name says"`
	Deadline     string            `json:"deadline,omitempty" doc:"when it is overdue, in UTC; list and overdue do not know it"`
	Labels       map[string]string `json:"labels,omitempty" doc:"labels of the record that the caller set, where they are known"`
	Recovered    bool              `json:"recovered,omitempty" doc:"the try that made it seemed lost"`
}

// ReleaseOf shows a release.
func ReleaseOf(r helmexec.Release) Release {
	job, _, _ := helmexec.ParseSUTHelmName(r.Name)
	return Release{
		Name: r.Name, Namespace: r.Namespace, Revision: r.Revision, Status: string(r.Status), Chart: r.ChartName, ChartVersion: r.ChartVersion,
		AppVersion: r.AppVersion, Description: r.Description, Updated: timeOf(r.Updated), Job: cmp.Or(r.Labels["helmexec/job"], job),
		Deadline: deadlineOf(r.Labels["helmexec/deadline"]), Labels: labelsOf(r.Labels), Recovered: r.Recovered,
	}
}

// deadlineOf is the time that a label of a record has in seconds of Unix time.
func deadlineOf(label string) string {
	seconds, err := strconv.ParseInt(label, 10, 64)
	if err != nil {
		return ""
	}
	return timeOf(time.Unix(seconds, 0))
}

// labelsOf leaves out the labels by which the library knows its releases again.
func labelsOf(all map[string]string) map[string]string {
	own := maps.Clone(all)
	maps.DeleteFunc(own, func(name, _ string) bool { return strings.HasPrefix(name, "helmexec/") })
	return own
}

// Releases are releases.
type Releases struct {
	Releases []Release `json:"releases" doc:"sorted by name"`
}

// ReleasesOf shows releases.
func ReleasesOf(all []helmexec.Release) Releases {
	r := Releases{Releases: []Release{}}
	for _, one := range all {
		r.Releases = append(r.Releases, ReleaseOf(one))
	}
	return r
}

// Why is how far a release is, and what is in its way.
type Why struct {
	Release  Release   `json:"release" doc:"the release"`
	Ready    int       `json:"ready" doc:"pods that are ready"`
	Total    int       `json:"total" doc:"pods"`
	Blockers []Blocker `json:"blockers" doc:"what is in the way"`
}

// Blocker is one thing that is in the way.
type Blocker struct {
	Object    Object `json:"object" doc:"the object"`
	Container string `json:"container,omitempty" doc:"name of the container"`
	Reason    string `json:"reason" doc:"as Kubernetes words it"`
	Message   string `json:"message,omitempty" doc:"one line"`
	Restarts  int    `json:"restarts,omitempty" doc:"of the container"`
	Event     string `json:"event,omitempty" doc:"the last warning of Kubernetes about it"`
}

// BlockersOf shows blockers.
func BlockersOf(all helmexec.Blockers) []Blocker {
	blockers := []Blocker{}
	for _, b := range all {
		blockers = append(blockers, Blocker{ObjectOf(b.ObjectRef), b.Container, b.Reason, b.Message, b.Restarts, b.Event})
	}
	return blockers
}

// Remain is an object that stays.
type Remain struct {
	Object Object `json:"object" doc:"the object"`
	Cause  string `json:"cause" doc:"hook, resource policy, volume claim, crd, namespace, record, not removed"`
	State  string `json:"state" doc:"there, going or unknown"`
	Why    string `json:"why,omitempty" doc:"for a reader"`
}

// RemainsOf shows what stays.
func RemainsOf(all []helmexec.Remain) []Remain {
	remains := []Remain{}
	for _, r := range all {
		remains = append(remains, Remain{ObjectOf(r.ObjectRef), string(r.Cause), string(r.State), r.Why})
	}
	return remains
}

// Removed is a release that was removed.
type Removed struct {
	Release *Release `json:"release,omitempty" doc:"as it was; none if there was none"`
	Remains []Remain `json:"remains" doc:"what Helm leaves by design"`
}

// RemovedOf shows what an uninstall did.
func RemovedOf(r *helmexec.UninstallResult) Removed {
	removed := Removed{Remains: RemainsOf(r.Remains)}
	if r.Release != nil {
		shown := ReleaseOf(*r.Release)
		removed.Release = &shown
	}
	return removed
}

// Cleaned is what a clean-up found and removed.
type Cleaned struct {
	Overdue []Release `json:"overdue" doc:"releases whose deadline has passed, without --remove"`
	Removed []Removed `json:"removed" doc:"releases that were removed"`
}

// CleanedOf shows what was removed.
func CleanedOf(removed []*helmexec.UninstallResult) Cleaned {
	c := Cleaned{Overdue: []Release{}, Removed: []Removed{}}
	for _, r := range removed {
		c.Removed = append(c.Removed, RemovedOf(r))
	}
	return c
}

// Failure is what a command prints instead of its result.
type Failure struct {
	Error Error `json:"error" doc:"why the command failed"`
}

// Error is why something failed.
type Error struct {
	Kind     string    `json:"kind" doc:"see the table of exit codes"`
	Message  string    `json:"message" doc:"for a reader"`
	ExitCode int       `json:"exitCode" doc:"of the command"`
	Status   string    `json:"status,omitempty" doc:"of the release now, or of the one in the way"`
	Job      string    `json:"job,omitempty" doc:"the job of the release in the way"`
	Blockers []Blocker `json:"blockers,omitempty" doc:"why it was not ready"`
	Rule     string    `json:"failFastRule,omitempty" doc:"the rule of fail-fast that ended the wait"`
	Remains  []Remain  `json:"remains,omitempty" doc:"what stays in the cluster"`
}

// flags are what a user of the command has for the fields that texts of the library name.
var flags = strings.NewReplacer(
	", or set Config.Binary", ", or set --helm; in a clone, docs/try.md has the line that builds one",
	"Config.Binary", "--helm", "Config.MinVersion", "--min-helm", "Config.Home", "--home", "Config.Kubeconfig", "--kubeconfig",
	"config: Home", "--home", "set Home", "set --home",
	"plan: Cluster is for an install without Lookups", "--offline, --kube-version and --api-versions are for an install without --lookups",
	"the plan is stale: sha256:", "another plan than the approved one: sha256:",
	"set CreateNamespace", "set --create-namespace, which a job file calls createNamespace",
	"SUTNamePrune makes", "helmexec name makes",
	"among the repositories added by AddRepo", "among the known repositories: helm repo add adds one to those of --user-home, and a URL needs none",
	"(set PlainHTTP if", "(set --plain-http if", "config: MinVersion", "--min-helm", "cluster: KubeVersion", "--kube-version", "leave out Version", "leave out the version",
	"want a file that Save wrote", "want a file that plan --save wrote",
	"Limits.Nodes does not say", "limits.nodes of the policy does not say",
	"no waiting removes what is in the way (FailFast, ", "given up, since waiting does not help (fail-fast, ", "(FailFast, ", "(fail-fast, ",
	"where a plan takes only CustomResourceDefinitions", "where a plan takes only CustomResourceDefinitions (--skip-crds leaves that folder out)",
)

// Advice is a text of the library in the words of the command.
func Advice(text string) string { return flags.Replace(text) }

// TextOf is the text of an error of this kind, in the words of the command.
func TextOf(err error, kind string) string {
	text := err.Error()
	if kind == "file-not-found" { // it is the library's argument that is invalid; the user of the command named a file
		text = strings.ReplaceAll(text, helmexec.ErrInvalidArgument.Error()+": ", "")
	}
	return Advice(text)
}

// ErrorOf shows an error of this kind and exit code.
func ErrorOf(err error, kind string, code int) Error {
	shown := Error{Kind: kind, Message: TextOf(err, kind), ExitCode: code}
	var failed *helmexec.ReleaseError
	if errors.As(err, &failed) {
		shown.Status, shown.Job, shown.Rule = string(failed.Status), failed.JobID, failed.FailFastRule
		shown.Blockers, shown.Remains = BlockersOf(failed.Blockers), RemainsOf(failed.Remains)
	}
	return shown
}

// Progress says in one line how far a wait is.
func Progress(p helmexec.Progress) string {
	text := fmt.Sprintf("%d of %d pods ready", p.Ready, p.Total)
	if p.Blocker != nil {
		text += "; " + p.Blocker.String()
	}
	if p.Err == nil {
		return text
	}
	why := Advice(p.Err.Error())
	if errors.Is(p.Err, helmexec.ErrClusterUnreachable) {
		why = "the cluster does not answer"
	}
	if p.Total == 0 && p.Blocker == nil {
		return why // no look has seen anything yet
	}
	return why + "; before, " + text
}
