package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// runLabel is on the objects outside of its namespace that the chart of a run makes, with the
// namespace of the run. benchLabel is on what the bench itself puts into one.
const (
	runLabel   = "helmexec-e2e/run"
	benchLabel = "helmexec-e2e/bench"
)

// called is how an object is named here: "Kind name", or "Kind namespace/name" where that is not the
// namespace of its run, "Kind /name" where it has none.
func called(kind, namespace, name, of string) string {
	if namespace != of {
		name = namespace + "/" + name
	}
	return kind + " " + name
}

// sight is what the cluster really holds of a run.
type sight struct {
	records []string // status of each release record, in the order of their revisions
	objects []string // what no other object looks after, without the records: as called, sorted
	values  string   // the greeting that reached the chart, "" when there is no ConfigMap
}

// look looks at the namespace of a run, past helm and its link.
func (r *run) look(ctx context.Context) (s sight, err error) {
	err = cluster.Eventually(ctx, func(ctx context.Context) error {
		s, err = r.lookOnce(ctx)
		return err // the API server may be starting
	})
	return s, err
}

func (r *run) lookOnce(ctx context.Context) (s sight, err error) {
	all, err := r.cluster.Objects(ctx)
	if err != nil {
		return s, err
	}
	for _, o := range all {
		switch {
		case !r.owns(o), o.Controlled:
		case o.Kind == "Secret" && o.Labels["owner"] == "helm":
			s.records = append(s.records, o.Labels["status"])
		default:
			s.objects = append(s.objects, called(o.Kind, o.Namespace, o.Name, r.namespace))
		}
	}
	slices.Sort(s.objects)
	if slices.Contains(s.objects, "ConfigMap "+r.release+"-0") {
		var config struct{ Data map[string]string }
		path := "/api/v1/namespaces/" + r.namespace + "/configmaps/" + r.release + "-0"
		if err := r.cluster.Request(ctx, http.MethodGet, path, nil, &config); err != nil {
			return s, err
		}
		s.values = config.Data["greeting"]
	}
	return s, nil
}

// pods counts the pods of the release, now.
func (r *run) pods(ctx context.Context) (n int, err error) {
	path := "/api/v1/namespaces/" + r.namespace + "/pods?labelSelector=app%3D" + r.release
	var list struct{ Items []any }
	err = cluster.Eventually(ctx, func(ctx context.Context) error {
		return r.cluster.Request(ctx, http.MethodGet, path, nil, &list) // the API server may be starting
	})
	return len(list.Items), err
}

// owns reports whether an object belongs to this run.
func (r *run) owns(o cluster.Object) bool {
	if o.Labels[benchLabel] != "" {
		return false
	}
	return o.Namespace == r.namespace || o.Labels[runLabel] == r.namespace ||
		r.createNamespace && o.Kind == "Namespace" && o.Name == r.namespace
}

func (s sight) String() string {
	return fmt.Sprintf("records: %s; objects: %s", strings.Join(s.records, " "), strings.Join(s.objects, ", "))
}

// wrong is a way in which the report differs from the cluster.
type wrong string

const (
	lost      wrong = "lost"         // success without a release, or a failure with one
	duplicate wrong = "duplicate"    // more than one release record
	stuck     wrong = "stuck"        // a record that is neither wanted nor gone
	leftOver  wrong = "left over"    // objects of no release that were not reported, or missing ones that were
	wrongData wrong = "wrong values" // the release is not what was asked for
	untyped   wrong = "untyped"      // an error without a cause that a program can act on
	misjudged wrong = "misjudged"    // a failure that should be a success, has another status than the record, or is wrongly called transient
	early     wrong = "too early"    // a removal that reports success while pods of the release exist
	missed    wrong = "missed"       // a removal that did not find what there was to remove
)

// afterInstall compares the outcome of an install with the cluster.
func (r *run) afterInstall(o outcome, s sight) (all []wrong) {
	deployed := count(s.records, "deployed")
	if o.OK {
		switch {
		case deployed == 0 && len(s.records) > 0:
			all = append(all, stuck)
		case deployed == 0:
			all = append(all, lost)
		case len(s.records) > 1:
			all = append(all, duplicate)
		}
		there := slices.DeleteFunc(slices.Clone(s.objects), func(name string) bool { return slices.Contains(r.maybe, name) })
		if !slices.Equal(there, r.want) {
			all = append(all, leftOver)
		}
		if s.values != r.values["greeting"] {
			all = append(all, wrongData)
		}
		return all
	}
	switch {
	case deployed > 0:
		all = append(all, lost)
	case len(s.records) > 0 && !namesRecord(o.Remains):
		all = append(all, stuck)
	}
	return append(all, r.afterFailure(o, s)...)
}

// afterUninstall compares the outcome of an uninstall with the cluster.
func (r *run) afterUninstall(o outcome, s sight) (all []wrong) {
	// A removal that was refused says so by the status of the release.
	if len(s.records) > 0 && !(r.family.refuses && (namesRecord(o.Remains) || !o.OK && len(s.records) == 1 && o.Status == s.records[0])) {
		all = append(all, stuck)
	}
	if !o.OK {
		return append(all, r.afterFailure(o, s)...)
	}
	reported, unsure := o.Remains, o.Unsure
	if o.Tries == 0 {
		// A killed runner had removed everything, and its report was lost.
		reported, unsure = r.stays, nil
	}
	if !sameNames(s.objects, reported, unsure) {
		all = append(all, leftOver)
	}
	return all
}

func (r *run) afterFailure(o outcome, s sight) (all []wrong) {
	if !o.Typed && !(r.family.refuses && o.Refused) {
		all = append(all, untyped)
	}
	passes := r.during != nil // with the next kill, say
	if r.family.refuses && (o.Transient && !passes || len(s.records) < 2 && o.Status != strings.Join(s.records, "")) {
		all = append(all, misjudged)
	}
	if !sameNames(s.objects, o.Remains, o.Unsure) {
		all = append(all, leftOver)
	}
	return all
}

// afterAll judges the last removal of a run; told are all its outcomes: every object that exists was
// reported, and no record exists.
func (r *run) afterAll(told []outcome) func(outcome, sight) []wrong {
	return func(o outcome, s sight) (all []wrong) {
		if !o.OK {
			all = append(all, misjudged) // nothing hinders it any more
		}
		if len(s.records) > 0 {
			all = append(all, stuck)
		}
		named := slices.Clone(o.Remains)
		for _, earlier := range told {
			named = append(named, earlier.Remains...)
		}
		never := func(object string) bool { return !slices.Contains(named, object) }
		gone := func(object string) bool {
			return !slices.Contains(s.objects, object) && !slices.Contains(o.Unsure, object)
		}
		if slices.ContainsFunc(s.objects, never) || slices.ContainsFunc(o.Remains, gone) {
			all = append(all, leftOver)
		}
		return all
	}
}

// recordPrefix begins the name of a release record.
const recordPrefix = "Secret sh.helm.release.v1."

func namesRecord(remains []string) bool {
	return slices.ContainsFunc(remains, func(name string) bool { return strings.HasPrefix(name, recordPrefix) })
}

// sameNames compares existing objects with those reported, each once, except release records. Unsure ones
// need not exist.
func sameNames(there, reported, unsure []string) bool {
	reported = slices.DeleteFunc(slices.Sorted(slices.Values(reported)), func(name string) bool {
		return strings.HasPrefix(name, recordPrefix) || slices.Contains(unsure, name) && !slices.Contains(there, name)
	})
	return slices.Equal(there, reported)
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
