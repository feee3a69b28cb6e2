package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// objects looks at the namespace without helm: all objects that nothing in it controls, as "Kind
// name". The release records are among them, as Secrets.
func (b *bed) objects(ctx context.Context) ([]string, error) {
	all, err := b.cluster.Objects(ctx, b.namespace)
	free := []string{}
	for _, object := range all {
		if !object.Controlled {
			free = append(free, object.Kind+" "+object.Name)
		}
	}
	slices.Sort(free)
	return free, err
}

// wantLeft fails unless the namespace ends up with exactly the reported objects: deleting in the
// background takes a moment.
func (b *bed) wantLeft(remains []helmexec.Remain) {
	b.Helper()
	want := []string{}
	for _, r := range remains {
		want = append(want, r.Kind+" "+r.Name)
	}
	slices.Sort(want)
	err := cluster.Eventually(b.ctx, func(ctx context.Context) error {
		got, err := b.objects(ctx)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("the namespace has %q, and %q was reported", got, want)
		}
		return err
	})
	if err != nil {
		b.Error(err)
	}
}

// awaitObject returns when an object is there, given by its path below the namespace's.
func (b *bed) awaitObject(group, path string) {
	b.Helper()
	b.must(cluster.Eventually(b.ctx, func(ctx context.Context) error {
		return b.cluster.Request(ctx, http.MethodGet, group+"/namespaces/"+b.namespace+"/"+path, nil, nil)
	}))
}

// awaitRecord returns when the first revision of a release is recorded.
func (b *bed) awaitRecord(release string) {
	b.Helper()
	b.awaitObject("/api/v1", "secrets/sh.helm.release.v1."+release+".v1")
}

// recordedStatus reads the status of a release's first revision from its record.
func (b *bed) recordedStatus(release string) (string, error) {
	var secret struct {
		Metadata struct{ Labels map[string]string }
	}
	err := b.cluster.Request(b.ctx, http.MethodGet, "/api/v1/namespaces/"+b.namespace+"/secrets/sh.helm.release.v1."+release+".v1", nil, &secret)
	if err == nil && secret.Metadata.Labels["status"] == "" {
		err = errors.New("the record has no status")
	}
	return secret.Metadata.Labels["status"], err
}
