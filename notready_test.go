package helmexec

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// What "helm status" of Helm 3 and 4 reports about pods that are not ready, recorded by
// e2e/cmd/record, and the resulting lines.
func TestBlockersOfRecordedStatus(t *testing.T) {
	want := map[string][]string{
		"ImagePullBackOff": {`Pod web-bbbbbbbbb-aaaaa, container main: ImagePullBackOff: Back-off pulling image "registry.example/nosuchimage:1": not found`},
		"CrashLoopBackOff": {"Pod web-bbbbbbbbb-aaaaa, container main: CrashLoopBackOff: back-off 2m40s restarting failed container (exit code 1, 5 restarts)"},
		"NotReady":         {"Pod web-bbbbbbbbb-aaaaa, container main: NotReady: running and not ready: its readiness or startup probe does not pass"},
		"Unschedulable": {"Pod web-bbbbbbbbb-aaaaa: Unschedulable: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu. " +
			"no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling"},
		"FailedJob": {"Job job: BackoffLimitExceeded: Job has reached the specified backoff limit"},
		"Ready":     nil,
	}
	ready := map[string]string{"Ready": "1 of 1", "FailedJob": "0 of 0"}
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		for _, scene := range sortedKeys(want) {
			t.Run(version+"/"+scene, func(t *testing.T) {
				text, err := os.ReadFile(filepath.Join("testdata", "status", version, scene+".json"))
				require.NoError(t, err)
				h, fake := withFake(t, Config{})
				fake.SetVersion(version)
				fake.On("status", helmtest.Reply{Stdout: string(text)})
				seen, err := h.liveObjects(t.Context(), target{}, "web", 0, nil)
				require.NoError(t, err)
				objects := seen.objects
				var lines []string
				for _, b := range blockersOf(objects) {
					lines = append(lines, b.String())
					assert.Equal(t, "team", b.Namespace)
				}
				assert.Equal(t, want[scene], lines)

				p := progressOf(objects)
				wantReady := ready[scene]
				if wantReady == "" {
					wantReady = "0 of 1"
				}
				assert.Equal(t, wantReady, fmt.Sprintf("%d of %d", p.Ready, p.Total))
				assert.Equal(t, len(lines) > 0, p.Blocker != nil)
			})
		}
	}
}

// States that the recordings do not have.
func TestBlockers(t *testing.T) {
	for _, test := range []struct {
		name, object string
		want         []string
	}{
		{"an init container that fails", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Pending",
			"initContainerStatuses":[{"name":"wait","state":{"terminated":{"reason":"Error","exitCode":3}}}],
			"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"PodInitializing"}}}]}}`,
			[]string{"Pod p, container wait: Error: (exit code 3)"}},
		{"an init container that does not end", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Pending",
			"initContainerStatuses":[{"name":"wait","state":{"running":{}}}],
			"containerStatuses":[{"name":"main","state":{"waiting":{"reason":"PodInitializing"}}}]}}`,
			[]string{"Pod p, container wait: NotReady: an init container that still runs"}},
		{"what the kubelet says of a crash", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Running","containerStatuses":[
			{"name":"a","restartCount":2,"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 20s restarting failed container=a pod=p_team(6f0c)"}},
			"lastState":{"terminated":{"reason":"Error","exitCode":1}}}]}}`,
			[]string{"Pod p, container a: CrashLoopBackOff: back-off 20s restarting failed container=a (exit code 1, 2 restarts)"}},
		{"two containers", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Pending","containerStatuses":[
			{"name":"a","state":{"waiting":{"reason":"ErrImagePull","message":"no\n\tsuch   image"}}},{"name":"b","ready":true,"state":{"running":{}}},
			{"name":"c","state":{"waiting":{"reason":"CreateContainerConfigError","message":"secret \"x\" not found"}}}]}}`,
			[]string{"Pod p, container a: ErrImagePull: no such image", `Pod p, container c: CreateContainerConfigError: secret "x" not found`}},
		{"scheduled and nothing known", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Pending"}}`, []string{"Pod p: Pending"}},
		{"evicted", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Failed","reason":"Evicted","message":"disk is full"}}`,
			[]string{"Pod p: Evicted: disk is full"}},
		{"a pod that is done", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Succeeded",
			"conditions":[{"type":"Ready","status":"False","reason":"PodCompleted"}]}}`, nil},
		{"a readiness gate", `{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Running",
			"conditions":[{"type":"Ready","status":"False","reason":"ReadinessGatesNotReady"}],
			"containerStatuses":[{"name":"main","ready":true,"state":{"running":{}}}]}}`, []string{"Pod p: ReadinessGatesNotReady"}},
		{"a claim without a volume", `{"kind":"PersistentVolumeClaim","metadata":{"name":"data"},"status":{"phase":"Pending"}}`,
			[]string{"PersistentVolumeClaim data: Pending: no volume is bound to it"}},
		{"a bound claim", `{"kind":"PersistentVolumeClaim","metadata":{"name":"data"},"status":{"phase":"Bound"}}`, nil},
		{"a quota", `{"kind":"ReplicaSet","metadata":{"name":"web"},"status":{"conditions":[
			{"type":"ReplicaFailure","status":"True","reason":"FailedCreate","message":"exceeded quota"}]}}`,
			[]string{"ReplicaSet web: FailedCreate: exceeded quota"}},
		{"a stuck rollout", `{"kind":"Deployment","metadata":{"name":"web"},"status":{"conditions":[
			{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded"}]}}`, []string{"Deployment web: ProgressDeadlineExceeded"}},
		{"a rollout under way", `{"kind":"Deployment","metadata":{"name":"web"},"status":{"conditions":[{"type":"Progressing","status":"True"}]}}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o liveObject
			require.NoError(t, json.Unmarshal([]byte(test.object), &o))
			var lines []string
			for _, b := range blockersOf([]liveObject{o}) {
				lines = append(lines, b.String())
			}
			assert.Equal(t, test.want, lines)
		})
	}
}

// Pods have the most exact reasons; and a release of a thousand pods does not flood a log.
func TestBlockersArePodsFirstAndFew(t *testing.T) {
	var deployment, pod liveObject
	require.NoError(t, json.Unmarshal([]byte(`{"kind":"Deployment","metadata":{"name":"web"},
		"status":{"conditions":[{"type":"Progressing","status":"False"}]}}`), &deployment))
	require.NoError(t, json.Unmarshal([]byte(`{"kind":"Pod","metadata":{"name":"p"},"status":{"phase":"Pending"}}`), &pod))
	objects := []liveObject{deployment}
	for range 1000 {
		objects = append(objects, pod)
	}
	all := blockersOf(objects)
	assert.Equal(t, "Pod", all[0].Kind)
	assert.Equal(t, "Pod p and 999 more: Pending; Deployment web: Progressing", all.String())
	for i := range all {
		all[i].Reason += strconv.Itoa(i)
	}
	long := Blocker{ObjectRef: ObjectRef{Kind: "Pod", Name: "p"}, Reason: "r", Message: oneLine(strings.Repeat("wörd ", 1000))}
	assert.Less(t, len(long.String()), 300)
	text := (&ReleaseError{Release: "web", Kind: ErrNotReady, Blockers: all}).Error()
	assert.Contains(t, text, "and 996 more")
	assert.Less(t, len(text), 400)
}

// A controller whose pods are refused says so only in events.
func TestBlockersOfWarnings(t *testing.T) {
	event := func(about, message, at string) string {
		return base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`{"about":%q,"reason":"FailedCreate","message":%q,"at":%q}`, about, message, at)))
	}
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Hooks: []helmtest.Hook{
		{Kind: "Job", Name: "seed", Phase: "Running", Events: []string{"pre-install"}}, {Kind: "Job", Name: "done", Phase: "Succeeded", Events: []string{"pre-install"}},
	}})
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/StatefulSet":[{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"}}]}}}`}
	})
	fake.Handle("template", func(c helmtest.Call) helmtest.Reply {
		assert.Contains(t, c.Stdin, `"warned":["Job/seed","StatefulSet/db"]`)
		return helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\ndata: {warnings: " + strings.Join([]string{
			event("StatefulSet/db", "exceeded\nquota", "2030-01-01T00:00:02Z"), event("StatefulSet/db", "before", "2030-01-01T00:00:01Z"),
			event("Job/seed", "no right", "2030-01-01T00:00:01Z"),
		}, " ") + "}\n"}
	})
	rec, err := h.record(t.Context(), target{}, "web", 0)
	require.NoError(t, err)
	var failed ReleaseError
	failed.explain(t.Context(), h, target{}, rec)
	assert.Equal(t, "Job seed: HookRunning: the pre-install hook did not complete in time: FailedCreate: no right; "+
		"StatefulSet db: FailedCreate: exceeded quota", failed.Blockers.String())
}

func TestReadiness(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.Readiness(t.Context(), "web", ReadinessOptions{})
	require.ErrorIs(t, err, ErrReleaseNotFound)

	fake.SetRelease(helmtest.Release{Name: "web", Chart: "web", ChartVersion: "1.2.3"})
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Pod(related)":[
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}},
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-2"},"status":{"phase":"Pending","containerStatuses":[
				{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}]}}]}}}`}
	})
	now, err := h.Readiness(t.Context(), "web", ReadinessOptions{})
	require.NoError(t, err)
	assert.Equal(t, "web 1.2.3", now.Release.ChartName+" "+now.Release.ChartVersion)
	assert.Equal(t, "1 of 2", fmt.Sprintf("%d of %d", now.Ready, now.Total))
	assert.Equal(t, "Pod web-2, container main: ImagePullBackOff: not found", now.Blockers.String())

	fake.On("status", helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: connection refused\n", Exit: 1})
	_, err = h.Readiness(t.Context(), "web", ReadinessOptions{})
	require.ErrorIs(t, err, ErrClusterUnreachable)
}
