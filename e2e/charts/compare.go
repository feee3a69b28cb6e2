package charts

import (
	"slices"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// fault is one way in which the report differs from the cluster, with the object or the error text.
type fault struct{ kind, what string }

const (
	unnamed = "unnamed" // left in the cluster, and not reported
	ghost   = "ghost"   // reported as left, but does not exist
	twice   = "twice"   // reported more than once
	taken   = "taken"   // existed before, belonged to somebody else, and is gone
	untyped = "untyped" // an error without a kind that a program can tell
	hung    = "hung"    // a call that did not end in its time
	lost    = "lost"    // a release that is not found by its job

	unplanned = "unplanned" // it can be installed, and not be planned
	otherwise = "otherwise" // what is installed is not what was planned
)

// kindsOfFault in the order of a table.
var kindsOfFault = []string{unnamed, ghost, twice, taken, untyped, hung, lost, unplanned, otherwise}

func (f fault) String() string { return f.kind + ": " + f.what }

// report is what was reported: what remains, and the status of a release that is still recorded.
type report struct {
	remains         []helmexec.Remain
	release, status string
}

// hasRecord reports whether an object is the record of the release in the reported status.
func (r report) hasRecord(o cluster.Object) bool {
	return r.status != "" && o.Labels["owner"] == "helm" && o.Labels["name"] == r.release && o.Labels["status"] == r.status
}

// compare finds what is wrong with the reported remains. An object that existed at the time of the
// report may disappear later.
func compare(before, reported, after []cluster.Object, told report) (faults []fault) {
	was, is := uids(before), uids(after)
	there, named := map[helmexec.ObjectRef]bool{}, map[helmexec.ObjectRef]bool{}
	for _, o := range reported {
		there[identity(o)] = true
	}
	for _, r := range told.remains {
		ref := r.ObjectRef
		ref.Version = "" // an object is served in several
		switch {
		case named[ref]:
			faults = append(faults, fault{twice, ref.String()})
		case !there[ref] && r.State == helmexec.RemainThere:
			faults = append(faults, fault{ghost, ref.String()})
		}
		named[ref] = true
	}
	for _, o := range left(before, after) {
		if !named[identity(o)] && !told.hasRecord(o) {
			faults = append(faults, fault{unnamed, identity(o).String()})
		}
	}
	for _, o := range before {
		if !is[o.UID] && !o.OfCluster() && !follows(o, was) {
			faults = append(faults, fault{taken, identity(o).String()})
		}
	}
	return faults
}

// left are the new objects that nothing else will take with it.
func left(before, after []cluster.Object) []cluster.Object {
	was, is := uids(before), uids(after)
	return slices.DeleteFunc(slices.Clone(after), func(o cluster.Object) bool {
		return was[o.UID] || o.OfCluster() || follows(o, is)
	})
}

// follows reports whether an object disappears with another one: its owner, or the volume claim for
// which a volume was made.
func follows(o cluster.Object, there map[string]bool) bool {
	const volumeOf = "pvc-"
	if o.Kind == "PersistentVolume" && len(o.Name) > len(volumeOf) && there[o.Name[len(volumeOf):]] {
		return true
	}
	return slices.ContainsFunc(o.Owners, func(uid string) bool { return there[uid] })
}

// identity names an object as helmexec does, without its version.
func identity(o cluster.Object) helmexec.ObjectRef {
	return helmexec.ObjectRef{Group: o.Group(), Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func uids(objects []cluster.Object) map[string]bool {
	all := make(map[string]bool, len(objects))
	for _, o := range objects {
		all[o.UID] = true
	}
	return all
}
