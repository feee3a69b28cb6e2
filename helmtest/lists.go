package helmtest

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (f *Fake) history(k string) Reply {
	var rows []map[string]any
	for _, r := range f.store.releases[k] {
		rows = append(rows, map[string]any{
			"revision": r.Revision, "updated": r.Updated, "status": r.Status, "chart": r.Chart + "-" + r.ChartVersion,
			"app_version": r.AppVersion, "description": r.Description,
		})
	}
	return printed(rows)
}

func (f *Fake) list(c Call) Reply {
	filter, err := regexp.Compile(c.Flag("--filter"))
	if err != nil {
		return failure("%v", err)
	}
	rows := []map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(f.store.releases)) {
		r, _ := f.store.latest(k)
		if c.Flag("--all-namespaces") == "" && r.Namespace != cmp.Or(c.Flag("--namespace"), "default") ||
			!filter.MatchString(r.Name) || !selects(c.Flag("--selector"), r.Labels) {
			continue
		}
		rows = append(rows, map[string]string{
			"name": r.Name, "namespace": r.Namespace, "revision": strconv.Itoa(r.Revision), "updated": r.Updated.Format(time.RFC3339Nano),
			"status": r.Status, "chart": r.Chart + "-" + r.ChartVersion, "app_version": r.AppVersion,
		})
	}
	return printed(rows)
}

// selects reports whether labels match a query of !k, k=v, k!=v, k<n and k>n, joined by commas.
func selects(query string, labels map[string]string) bool {
	for _, term := range strings.Split(query, ",") {
		if key, absent := strings.CutPrefix(term, "!"); absent {
			if _, has := labels[key]; has {
				return false
			}
			continue
		}
		at := strings.IndexAny(term, "!=<>")
		if at < 0 {
			continue
		}
		value, has := labels[term[:at]]
		want := strings.TrimLeft(term[at:], "!=<>")
		have, _ := strconv.Atoi(value)
		bound, _ := strconv.Atoi(want)
		switch op := term[at]; {
		case op == '=' && (!has || value != want), op == '!' && value == want,
			op == '<' && (!has || have >= bound), op == '>' && (!has || have <= bound):
			return false
		}
	}
	return true
}
