package helmexec

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/filelock"
)

// similarIDs are job ids that are easily confused.
func similarIDs() []string {
	return []string{
		"sut", "sut-5", "sut-6", "a-sut", "a-sut-b", "a-sut-sut-b", "a", "b", "a-b", "a--b", "-a", "a-",
		"foo", "Foo", "FOO", "foo.", "foo/", "f_oo", "f-oo", "", " ", "任务", "模型", "id", "baseline", "nightly-baseline",
		"550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000",
		strings.Repeat("1", 36), strings.Repeat("1", 37), strings.Repeat("1", 38), strings.Repeat("a", 64),
		strings.Repeat("a", 23) + "-sut" + strings.Repeat("b", 20), // cut behind "-sut"
		strings.Repeat("a", 22) + "-sut-" + strings.Repeat("b", 20),
	}
}

// withDerived adds to ids what this package makes of them.
func withDerived(ids []string) []string {
	for _, id := range slices.Clone(ids) {
		ids = append(ids, cleanJobID(id), labelValueOf(id), id+"-"+shortHash(id), shortHash(id))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func TestJobsHaveNamesAndLabelsOfTheirOwn(t *testing.T) {
	ids, random := similarIDs(), rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "7", "z", "-", "--", "-sut", "sut-", "A", "_", ".", "模", "é", "foo", "\xff", "aaaaaaaa"}
	for range 500 {
		id := ""
		for range 1 + random.IntN(12) {
			id += parts[random.IntN(len(parts))]
		}
		ids = append(ids, id)
	}
	byName, byLabel := map[string]string{}, map[string]string{}
	for _, id := range withDerived(withDerived(ids)) {
		name, label := SUTHelmName(id, "x"), labelValueOf(id)
		if other, taken := byName[name]; taken {
			t.Errorf("%q and %q are both %s", id, other, name)
		}
		if other, taken := byLabel[label]; taken {
			t.Errorf("%q and %q are both labelled %s", id, other, label)
		}
		byName[name], byLabel[label] = id, id
		require.True(t, argument.IsLabelValue(label), label)
		assertSUTHelmName(t, id, "x", name)
	}
}

// The queries for the releases of one job find none of another job, whatever their names are.
func TestJobQueries(t *testing.T) {
	ids := withDerived(withDerived(similarIDs()))
	names, labels := map[string][]string{}, map[string]string{}
	for _, id := range ids {
		for _, sut := range []string{"x", "sut-x", "a-sut-b", strings.Repeat("x", 60)} {
			names[id] = append(names[id], SUTHelmName(id, sut))
		}
		labels[id] = labelJob + "=" + labelValueOf(id)
	}
	for _, id := range ids {
		byName, byLabel := jobQueries(id)
		assert.Equal(t, "!"+labelJob, byName.Selector, "a label goes before the name")
		named := regexp.MustCompile(byName.Filter)
		for _, other := range ids {
			for _, name := range names[other] {
				if (id == other) != named.MatchString(name) {
					t.Errorf("what looks for job %q and %s of %q", id, name, other)
				}
			}
			if (id == other) != (byLabel.Selector == labels[other]) {
				t.Errorf("the labels of %q and %q", id, other)
			}
		}
		for _, name := range []string{"", "x", ".x", "x.y", "-x", "x-", "X"} {
			name = strings.TrimSuffix(SUTHelmName(id, "x"), "x") + name
			_, _, ok := ParseSUTHelmName(name)
			assert.Equal(t, ok, named.MatchString(name), name)
		}
	}
}

func TestUninstallJobRemovesItsOwn(t *testing.T) {
	h, fake := withFake(t, Config{})
	sees(fake)
	ids := []string{"sut-5", "sut-6", "sut-7", "Foo", "foo-ds7mon7y", "a-sut-b", "a-b-c7wollp5"}
	left := map[string][]string{} // names of releases by job
	add := func(id, name, label string) {
		labels := map[string]string{}
		if label != "" {
			labels[labelJob] = labelValueOf(label)
		}
		fake.SetRelease(helmtest.Release{Name: name, Labels: labels})
		left[id] = append(left[id], name)
	}
	for i, id := range ids {
		add(id, SUTHelmName(id, "by-name"), "")
		add(id, fmt.Sprint("by-label-", i), id)
		add(id, SUTHelmName("Foo", fmt.Sprint("named-for-another-", i)), id)
	}
	for _, id := range ids {
		results, err := h.UninstallJob(t.Context(), id, JobOptions{})
		require.NoError(t, err)
		var removed []string
		for _, r := range results {
			removed = append(removed, r.Release.Name)
		}
		assert.ElementsMatch(t, left[id], removed, "of job %q", id)
	}
}

// claimStays shows a claim of a StatefulSet, and nothing else of the release.
func claimStays(fake *helmtest.Fake) {
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		if !strings.Contains(c.Stdin, "data-db-0") {
			return looks("")(c)
		}
		return looks("0 there owned")(c)
	})
}

// The helm of a killed runner finishes the removal, and reports nothing of what Helm leaves.
func TestUninstallJobReportsForTheKilled(t *testing.T) {
	for name, reply := range map[string]helmtest.Reply{"at the same time": purged, "just before": noRecord} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: "web", Labels: map[string]string{labelJob: "42"}, Manifest: stateful})
			inTurn(fake, "uninstall", removed(fake, reply))
			claimStays(fake)
			results, err := h.UninstallJob(t.Context(), "42", JobOptions{})
			require.NoError(t, err)
			require.Len(t, results, 1)
			assert.Equal(t, "web", results[0].Release.Name)
			require.Len(t, results[0].Remains, 1)
			assert.Equal(t, "data-db-0", results[0].Remains[0].Name)
		})
	}
}

// It may also hold the lock of the release meanwhile, because its runner was killed in the same home.
func TestUninstallJobWaitsForTheKilled(t *testing.T) {
	for name, job := range map[string]string{"of the job": "42", "of another job": "43"} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: SUTHelmName("42", "web"), Status: "uninstalling", Labels: map[string]string{labelJob: job}, Manifest: stateful})
			claimStays(fake)
			_, free, err := h.lockRelease(t.Context(), target{}, SUTHelmName("42", "web"), filelock.Exclusive, nil)
			require.NoError(t, err)
			fake.On("list", helmtest.Reply{Stdout: `[{"name":"` + SUTHelmName("42", "web") + `","namespace":"default","revision":"1"}]`}, helmtest.Reply{Stdout: "[]"})
			inTurn(fake, "get all", func(c helmtest.Call) helmtest.Reply {
				reply := fake.Perform(c)
				fake.RemoveRelease("", SUTHelmName("42", "web"))
				free()
				return reply
			})
			results, err := h.UninstallJob(t.Context(), "42", JobOptions{})
			require.NoError(t, err)
			if job != "42" {
				assert.Empty(t, results)
				return
			}
			require.Len(t, results, 1)
			require.Len(t, results[0].Remains, 1)
			assert.Equal(t, "data-db-0", results[0].Remains[0].Name)
		})
	}
}

// What is there after somebody else has removed a release, and installed another one, may be of use to that.
func TestUninstallJobLeavesWhatAnotherReleaseUses(t *testing.T) {
	for name, reply := range map[string]helmtest.Reply{"at the same time": purged, "just before": noRecord} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: "web", Labels: map[string]string{labelJob: "42"}, Manifest: stateful})
			inTurn(fake, "uninstall", func(c helmtest.Call) helmtest.Reply {
				fake.Perform(c)
				fake.SetRelease(others)
				return reply
			})
			claimStays(fake)
			results, err := h.UninstallJob(t.Context(), "42", JobOptions{})
			require.NoError(t, err)
			assert.Empty(t, results)
		})
	}
}

// A release that is in progress, and then listed with the namespace of the kubeconfig, is one.
func TestUninstallJobReportsOnce(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Labels: map[string]string{labelJob: "42"}, Manifest: stateful})
	claimStays(fake)
	op, err := h.begin(t.Context(), "web", target{}, labelInstall, "op", "42")
	require.NoError(t, err)
	inTurn(fake, "list", func(helmtest.Call) helmtest.Reply {
		op.end()
		return helmtest.Reply{Stdout: `[{"name":"web","namespace":"default","revision":"1"}]`}
	})
	results, err := h.UninstallJob(t.Context(), "42", JobOptions{})
	require.NoError(t, err)
	assert.Len(t, results, 1)
}

// A deadline that is moved while its release is locked is the one that counts.
func TestUninstallOverdueLooksAgain(t *testing.T) {
	h, fake := withFake(t, Config{})
	sees(fake)
	overdue := helmtest.Release{Name: "web", Labels: map[string]string{labelDeadline: unixLabel(time.Now().Add(-time.Hour))}}
	fake.SetRelease(overdue)
	moved := overdue
	moved.Labels = map[string]string{labelDeadline: unixLabel(time.Now().Add(time.Hour))}
	inTurn(fake, "list", func(c helmtest.Call) helmtest.Reply {
		listed := fake.Perform(c)
		fake.SetRelease(moved)
		return listed
	})
	results, err := h.UninstallOverdue(t.Context(), JobOptions{})
	require.NoError(t, err)
	assert.Empty(t, results)
	fake.SetRelease(overdue)
	results, err = h.UninstallOverdue(t.Context(), JobOptions{})
	require.NoError(t, err)
	assert.Len(t, results, 1)
}

// What a killed runner's helm left in between is swept and waited for, as after a try of one's own.
func TestUninstallJobFinishesForTheKilled(t *testing.T) {
	h, fake := withFake(t, Config{})
	labels := map[string]string{labelJob: "42"}
	fake.SetRelease(helmtest.Release{Name: "web", Status: "uninstalling", Labels: labels, Manifest: objects})
	there := looks("0 staying owned 1 staying owned;", "")
	fake.Handle("template", there)
	_, free, err := h.lockRelease(t.Context(), target{}, "web", filelock.Exclusive, nil)
	require.NoError(t, err)
	fake.On("list", helmtest.Reply{Stdout: "[]"}, helmtest.Reply{Stdout: `[{"name":"web","namespace":"default","revision":"1"}]`})
	inTurn(fake, "get all", func(c helmtest.Call) helmtest.Reply {
		reply := fake.Perform(c)
		fake.RemoveRelease("", "web")
		free()
		return reply
	})
	_, err = h.UninstallJob(t.Context(), "42", JobOptions{Wait: true})
	require.NoError(t, err)
	assert.Len(t, fake.Calls("install"), 1, "which sweeps")
}
