package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// sight is what a namespace really holds.
type sight struct {
	records []string // status of each release record
	objects []string // what no other object looks after, without the records: "Kind name", sorted
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
	all, err := r.cluster.Objects(ctx, r.namespace)
	if err != nil {
		return s, err
	}
	for _, o := range all {
		switch {
		case o.Kind == "Secret" && o.Labels["owner"] == "helm":
			s.records = append(s.records, o.Labels["status"])
		case !o.Controlled:
			s.objects = append(s.objects, o.Kind+" "+o.Name)
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

func (s sight) String() string {
	return fmt.Sprintf("records: %s; objects: %s", strings.Join(s.records, " "), strings.Join(s.objects, ", "))
}

// wrong is a way in which what is told and what is there differ.
type wrong string

const (
	lost      wrong = "lost"         // success without a release, or a failure with one
	duplicate wrong = "duplicate"    // more than one release record
	stuck     wrong = "stuck"        // a record that is neither wanted nor gone
	leftOver  wrong = "left over"    // objects of no release that were not reported, or missing ones that were
	wrongData wrong = "wrong values" // the release is not what was asked for
	untyped   wrong = "untyped"      // an error without a cause that a program can act on
)

// afterInstall judges an install by what is there.
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
		if !slices.Equal(s.objects, r.want) {
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
	case len(s.records) > 0 && !slices.Contains(o.Remains, "Secret sh.helm.release.v1."+r.release+".v1"):
		all = append(all, stuck)
	}
	return append(all, r.afterFailure(o, s)...)
}

// afterUninstall judges an uninstall by what is there.
func (r *run) afterUninstall(o outcome, s sight) (all []wrong) {
	if len(s.records) > 0 {
		all = append(all, stuck)
	}
	if !o.OK {
		return append(all, r.afterFailure(o, s)...)
	}
	reported := o.Remains
	if o.Tries == 0 {
		// A runner that was killed had removed it all, and its report died with it.
		reported = r.stays
	}
	if !sameNames(s.objects, reported) {
		all = append(all, leftOver)
	}
	return all
}

func (r *run) afterFailure(o outcome, s sight) (all []wrong) {
	if !o.Typed {
		all = append(all, untyped)
	}
	if !sameNames(s.objects, o.Remains) {
		all = append(all, leftOver)
	}
	return all
}

// sameNames compares objects that are there with those reported, but for release records.
func sameNames(there, reported []string) bool {
	reported = slices.DeleteFunc(slices.Sorted(slices.Values(reported)), func(name string) bool {
		return strings.HasPrefix(name, "Secret sh.helm.release.v1.")
	})
	return slices.Equal(there, slices.Compact(reported))
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
