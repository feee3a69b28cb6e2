package fleet

import (
	"context"
	"fmt"
	"slices"
)

// Deployed counts, for each operation, how often a release of it was recorded as deployed, by the audit log of the API
// server.
func (l *Lab) Deployed() (map[string]int, error) {
	requests, err := l.Cluster.Requests()
	if err != nil {
		return nil, err
	}
	deployed := map[string]int{}
	for _, r := range requests {
		written := r.Resource == "secrets" && slices.Contains([]string{"create", "update"}, r.Verb) && r.Code < 300
		// What helmexec sweeps is a release for a moment, to be uninstalled.
		if written && r.Labels["owner"] == "helm" && r.Labels["status"] == "deployed" && r.Labels["helmexec/sweep"] == "" {
			deployed[r.Labels["helmexec/install"]]++
		}
	}
	return deployed, nil
}

// Left lists what is in the cluster and should not be.
func (l *Lab) Left(ctx context.Context) (left []string, err error) {
	objects, err := l.Cluster.Objects(ctx)
	for _, o := range objects {
		left = append(left, o.String())
	}
	return left, err
}

// Twice lists the operations that were deployed more than once.
func Twice(deployed map[string]int) (all []string) {
	for id, n := range deployed {
		if n > 1 {
			all = append(all, fmt.Sprintf("%s %d times", id, n))
		}
	}
	slices.Sort(all)
	return all
}
