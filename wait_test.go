package helmexec

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

// podThat is a pod of the Deployment web with a container in some state.
func podThat(name, state string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"uid":%q,"ownerReferences":[{"kind":"ReplicaSet","name":"web-5f5"}]},
		"status":{"phase":"Pending","containerStatuses":[{"name":"main",%s}]}}`, name, "uid-"+name, state)
}

func waitingFor(reason string, restarts int) string {
	return fmt.Sprintf(`"restartCount":%d,"state":{"waiting":{"reason":%q}}`, restarts, reason)
}

const (
	running     = `"state":{"running":{}}`
	unscheduled = `{"kind":"Pod","metadata":{"name":"p"},"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable"}]}}`
	failedJob   = `{"kind":"Job","metadata":{"name":"j"},"status":{"conditions":[{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}]}}`
	refusedSet  = `{"kind":"ReplicaSet","metadata":{"name":"web-5f5"},"status":{"conditions":[{"type":"ReplicaFailure","status":"True","reason":"FailedCreate"}]}}`
	deployment  = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`
	statefulSet = `{"kind":"StatefulSet","metadata":{"name":"db"}}`
)

// glance is one look while helm waits.
type glance struct {
	at      time.Duration
	objects []string
	hooks   string
	events  []string // "Kind/name reason count message"
	hookPod string   // the state of the pod of the hook
}

func (g glance) seen(t *testing.T) live {
	var all live
	for _, text := range g.objects {
		var o liveObject
		require.NoError(t, json.Unmarshal([]byte(text), &o))
		all.objects = append(all.objects, o)
	}
	if g.hooks != "" {
		all.hooks = append(all.hooks, &hook{Name: "seed", Kind: "Job", Phase: g.hooks, Events: "pre-install"})
	}
	return all
}

// answer is what the cluster says to a look at events.
func (g glance) answer() helmtest.Reply {
	var events []string
	for _, line := range g.events {
		f := strings.SplitN(line, " ", 4)
		events = append(events, base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(`{"about":%q,"reason":%q,"count":%s,"message":%q,"at":"2030-01-01T00:00:01Z"}`, f[0], f[1], f[2], f[3]))))
	}
	pod := ""
	if g.hookPod != "" {
		pod = base64.StdEncoding.EncodeToString([]byte(`{"kind":"Pod","metadata":{"name":"seed-1","ownerReferences":[{"kind":"Job","name":"seed"}]},
			"status":{"phase":"Pending","containerStatuses":[{"name":"main",` + g.hookPod + `}]}}`))
	}
	return helmtest.Reply{Stdout: "apiVersion: v1\nkind: ConfigMap\ndata: {warnings: '" + strings.Join(events, " ") + "', pods: '" + pod + "'}\n"}
}

// Each rule ends a wait that is lost, and none that is only slow.
func TestFailFastRules(t *testing.T) {
	pull := podThat("p", waitingFor("ImagePullBackOff", 0))
	pulls := func(n int) []string {
		return []string{fmt.Sprintf("Pod/p Failed %d Failed to pull image \"x\": not found", n)}
	}
	for _, test := range []struct {
		name  string
		looks []glance
		opts  InstallOptions
		rule  string // that ends the wait at the last look, and not before; "" for none
	}{
		{"an image that failed twice", []glance{{objects: []string{pull}, events: pulls(1)}, {at: 12 * time.Second, objects: []string{pull}, events: pulls(2)}}, InstallOptions{Wait: true}, "image"},
		{"an image that is pulled again", []glance{{objects: []string{pull}, events: pulls(1)}, {at: time.Hour, objects: []string{pull}, events: pulls(1)}}, InstallOptions{Wait: true}, ""},
		{"an image, and events cannot be read", []glance{{objects: []string{pull}}, {at: time.Hour, objects: []string{pull}}}, InstallOptions{Wait: true}, ""},
		{"a name of an image", []glance{{objects: []string{podThat("p", waitingFor("InvalidImageName", 0))}}}, InstallOptions{Wait: true}, "image-name"},
		{"a Secret that is missing", []glance{{objects: []string{podThat("p", waitingFor("CreateContainerConfigError", 0))}}, {at: 30 * time.Second, objects: []string{podThat("p", waitingFor("CreateContainerConfigError", 0))}}}, InstallOptions{Wait: true}, "configuration"},
		{"a Secret that comes, and is missing again", []glance{
			{objects: []string{podThat("p", waitingFor("CreateContainerConfigError", 0))}}, {at: 20 * time.Second, objects: []string{podThat("p", running)}},
			{at: 40 * time.Second, objects: []string{podThat("p", waitingFor("CreateContainerConfigError", 0))}},
		}, InstallOptions{Wait: true}, ""},
		{"5 restarts", []glance{{objects: []string{podThat("p", waitingFor("CrashLoopBackOff", 4))}}, {at: time.Minute, objects: []string{podThat("p", waitingFor("CrashLoopBackOff", 5))}}}, InstallOptions{Wait: true}, "crash-loop"},
		{"restarts that recover", []glance{{objects: []string{podThat("p", waitingFor("CrashLoopBackOff", 4))}}, {at: time.Minute, objects: []string{podThat("p", `"restartCount":5,`+running)}}}, InstallOptions{Wait: true}, ""},
		{"a Job past its limit", []glance{{objects: []string{failedJob}}}, InstallOptions{WaitForJobs: true}, "job"},
		{"a Job that nobody waits for", []glance{{objects: []string{failedJob}}}, InstallOptions{Wait: true}, ""},
		{"pods that are refused", []glance{{objects: []string{refusedSet}}, {at: 10 * time.Second, objects: []string{refusedSet}}}, InstallOptions{Wait: true}, "refused"},
		{"a quota that has room again", []glance{{objects: []string{refusedSet}}, {at: 10 * time.Second}}, InstallOptions{Wait: true}, ""},
		{"pods of a StatefulSet that are refused", []glance{
			{objects: []string{statefulSet}, events: []string{"StatefulSet/db FailedCreate 1 exceeded quota"}},
			{at: 10 * time.Second, objects: []string{statefulSet}, events: []string{"StatefulSet/db FailedCreate 2 exceeded quota"}},
		}, InstallOptions{Wait: true}, "refused"},
		{"a StatefulSet that was refused once", []glance{
			{objects: []string{statefulSet}, events: []string{"StatefulSet/db FailedCreate 1 exceeded quota"}},
			{at: 10 * time.Second, objects: []string{statefulSet, strings.NewReplacer("ReplicaSet", "StatefulSet", "web-5f5", "db").Replace(podThat("db-0", running))},
				events: []string{"StatefulSet/db FailedCreate 1 exceeded quota"}},
		}, InstallOptions{Wait: true}, ""},
		{"no node for two minutes", []glance{{objects: []string{unscheduled}}, {at: 2 * time.Minute, objects: []string{unscheduled}}}, InstallOptions{Wait: true}, "unschedulable"},
		{"a node that comes late", []glance{{objects: []string{unscheduled}}, {at: 119 * time.Second, objects: []string{unscheduled}}, {at: 2 * time.Minute}}, InstallOptions{Wait: true}, ""},
		{"a hook that is refused", []glance{{hooks: "Running", events: []string{"Job/seed FailedCreate 1 exceeded quota"}}, {at: 10 * time.Second, hooks: "Running", events: []string{"Job/seed FailedCreate 2 exceeded quota"}}}, InstallOptions{}, "refused"},
		{"a hook that was refused once", []glance{{hooks: "Running", events: []string{"Job/seed FailedCreate 1 exceeded quota"}}, {at: time.Minute, hooks: "Running", hookPod: running, events: []string{"Job/seed FailedCreate 1 exceeded quota"}}}, InstallOptions{}, ""},
		{"the image of a hook", []glance{{hooks: "Running", hookPod: waitingFor("ErrImagePull", 0), events: []string{"Pod/seed-1 Failed 2 Failed to pull image \"x\": not found"}}}, InstallOptions{}, "image"},
		{"a hook that is over", []glance{{hooks: "Succeeded", hookPod: waitingFor("InvalidImageName", 0)}}, InstallOptions{}, ""},
		{"without Wait only hooks matter", []glance{{objects: []string{podThat("p", waitingFor("InvalidImageName", 0))}}}, InstallOptions{}, ""},
		{"a pod that is being deleted", []glance{{objects: []string{strings.Replace(podThat("p", waitingFor("InvalidImageName", 0)), `"uid"`, `"deletionTimestamp":"2030-01-01T00:00:00Z","uid"`, 1)}}}, InstallOptions{Wait: true}, ""},
		{"a pod that may be missing", []glance{{objects: []string{podThat("p", waitingFor("InvalidImageName", 0)),
			`{"kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":4,"strategy":{"rollingUpdate":{"maxUnavailable":"25%"}}}}`}}}, InstallOptions{Wait: true}, ""},
		{"more pods than may be missing", []glance{{objects: []string{podThat("p", waitingFor("InvalidImageName", 0)), podThat("q", waitingFor("InvalidImageName", 0)),
			`{"kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":4,"strategy":{"rollingUpdate":{"maxUnavailable":"25%"}}}}`}}}, InstallOptions{Wait: true}, "image-name"},
		{"a pod that a Job owns, too, and does not control", []glance{{objects: []string{strings.Replace(podThat("p", waitingFor("InvalidImageName", 0)),
			`"web-5f5"}`, `"web-5f5","controller":true},{"kind":"Job","name":"seed"}`, 1)}}}, InstallOptions{Wait: true}, "image-name"},
		{"a rule that is switched off", []glance{{objects: []string{podThat("p", waitingFor("InvalidImageName", 0))}}}, InstallOptions{Wait: true, FailFast: FailFastRules()[:1]}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.opts.FailFast == nil {
				test.opts.FailFast = FailFastRules()
			}
			h, fake := withFake(t, Config{})
			begin := time.Now()
			w := &wait{change: &change{h: h, op: &operation{}, opts: test.opts}, since: map[symptom]time.Time{}}
			for i, look := range test.looks {
				fake.Handle("template", func(helmtest.Call) helmtest.Reply { return look.answer() })
				h.host.now = func() time.Time { return begin.Add(look.at) }
				err := w.judge(t.Context(), look.seen(t))
				if i < len(test.looks)-1 || test.rule == "" {
					require.NoError(t, err, "look %d", i)
					continue
				}
				var hopeless *hopelessError
				require.ErrorAs(t, err, &hopeless)
				assert.Equal(t, test.rule, hopeless.rule.Name)
			}
		})
	}
}

// An error says once what ended the wait, whether Blockers list it or not.
func TestBlockersAreNamedOnce(t *testing.T) {
	pod := func(name string) Blocker {
		return Blocker{ObjectRef: ObjectRef{Kind: "Pod", Name: name}, Container: "main", Reason: "ErrImagePull", Message: "not found", Event: "Failed: no such image"}
	}
	helm := &Error{Args: []string{"install", "--", "web"}, cause: &hopelessError{FailFastRules()[0], pod("a")}, Stderr: "Error: it was cancelled\n"}
	const (
		a     = "Pod a, container main: ErrImagePull: not found (Failed: no such image)"
		ended = "helm install web: no waiting removes what is in the way (FailFast, rule image)"
	)
	for _, test := range []struct {
		blockers Blockers
		err      error
		want     string
	}{
		{Blockers{pod("a")}, helm, a + ": " + ended + ": it was cancelled"},
		{Blockers{pod("a"), pod("b")}, helm, "Pod a and 1 more" + strings.TrimPrefix(a, "Pod a") + ": " + ended + ": it was cancelled"},
		{Blockers{pod("a")}, errors.Join(helm, errors.New("and more")), a + ": " + ended + ": it was cancelled\nand more"},
		{nil, helm, ended + ": " + a + ": it was cancelled"},
		{Blockers{pod("b")}, errors.New("as helm says"), "Pod b" + strings.TrimPrefix(a, "Pod a") + ": as helm says"},
	} {
		assert.EqualError(t, &ReleaseError{Release: "web", Kind: ErrNotReady, Blockers: test.blockers, Err: test.err}, "release web: "+ErrNotReady.Error()+": "+test.want)
	}
}

// A wait that is lost ends as one whose time is up: with the reasons, and removed.
func TestInstallFailsFast(t *testing.T) {
	h, fake := withFake(t, Config{})
	inTurn(fake, "install", installed(fake, "pending-install", helmtest.Reply{Until: helmtest.Forever, Term: &helmtest.Reply{
		Stderr: "Error: INSTALLATION FAILED: context canceled\n", Exit: 1, Then: func() { setRecord(fake, func(r *helmtest.Release) { r.Status = "failed" }) },
	}}))
	fake.Handle("status", func(c helmtest.Call) helmtest.Reply {
		if _, recorded := fake.Release("", "web"); !recorded {
			return fake.Perform(c)
		}
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Deployment":[` + deployment + `],"v1/Pod(related)":[` + podThat("web-5f5-1", waitingFor("InvalidImageName", 0)) + `]}}}`}
	})
	var seen []Progress
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{
		Wait: true, Timeout: time.Hour, FailFast: FailFastRules(), ProgressInterval: time.Millisecond, Progress: func(p Progress) { seen = append(seen, p) },
	})
	require.ErrorIs(t, err, ErrNotReady)
	assert.NotErrorIs(t, err, t.Context().Err())
	assert.ErrorContains(t, err, "(removed again): Pod web-5f5-1, container main: InvalidImageName: ")
	assert.ErrorContains(t, err, "FailFast, rule image-name")
	assert.Equal(t, 1, strings.Count(err.Error(), "web-5f5-1"), err)
	assert.NotContains(t, err.Error(), "context canceled")
	var failed *ReleaseError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, "InvalidImageName", failed.Blockers[0].Reason)
	assert.Equal(t, "image-name", failed.FailFastRule)
	assert.Len(t, seen, 1, "nothing is called after the end")
	_, left := fake.Release("", "web")
	assert.False(t, left)
}

// A panic of the caller's function comes back to the caller, and nothing is left.
func TestProgressPanics(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.Hangs(helmtest.Blocker{Pod: "web-1", Container: "main", Reason: "ImagePullBackOff"})
	opts := InstallOptions{Wait: true, Timeout: time.Hour, ProgressInterval: time.Millisecond}
	install := func() (v any) {
		defer func() { v = recover() }()
		_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), opts)
		return err
	}
	opts.Progress = func(Progress) { panic("mine") }
	v := install()
	assert.Contains(t, v, "Progress: mine")
	assert.Contains(t, v, "TestProgressPanics", "it says where")
	_, left := fake.Release("", "web")
	assert.False(t, left)

	fake.Hangs(helmtest.Blocker{Pod: "web-1", Container: "main", Reason: "ImagePullBackOff"})
	opts.Progress = func(Progress) { runtime.Goexit() }
	assert.Contains(t, install(), "it has ended its goroutine")
	_, left = fake.Release("", "web")
	assert.False(t, left)

	// It is told also if helm succeeds meanwhile.
	looking, done := make(chan struct{}), make(chan struct{})
	inTurn(fake, "install", installed(fake, "deployed", helmtest.Reply{Until: looking, Then: func() { close(done) }}))
	opts.Progress = func(Progress) { close(looking); <-done; panic("late") }
	assert.Contains(t, install(), "Progress: late")
	rel, left := fake.Release("", "web")
	assert.True(t, left)
	assert.Equal(t, "deployed", rel.Status)
}

// A cluster that does not answer is said, with what was known before.
func TestProgressOfLostCluster(t *testing.T) {
	h, fake := withFake(t, Config{})
	done := make(chan struct{})
	inTurn(fake, "install", installed(fake, "deployed", helmtest.Reply{Until: done}))
	pod := `,"v1/Pod(related)":[` + podThat("p", running) + `]`
	reply := func(r helmtest.Reply) func(helmtest.Call) helmtest.Reply {
		return func(helmtest.Call) helmtest.Reply { return r }
	}
	objects := func(more string) func(helmtest.Call) helmtest.Reply {
		return reply(helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Deployment":[` + deployment + `]` + more + `}}}`})
	}
	inTurn(fake, "status", reply(helmtest.Reply{Stderr: "Error: release: not found\n", Exit: 1}), objects(pod), reply(unreachable), objects(""))
	var seen []string
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{
		Wait: true, ProgressInterval: time.Millisecond, Progress: func(p Progress) {
			seen = append(seen, fmt.Sprintf("%d of %d, lost %t", p.Ready, p.Total, errors.Is(p.Err, ErrClusterUnreachable)))
			if len(seen) == 3 {
				close(done)
			}
		},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"0 of 1, lost false", "0 of 1, lost true", "0 of 0, lost false"}, seen[:3])
}

// A look that gets no answer at all is ended, and said. Where one is only slow, a later one may take the time that it needs.
func TestProgressOfSilentCluster(t *testing.T) {
	for _, test := range []struct {
		name  string
		takes time.Duration // a look
		want  []string
		rule  string
	}{
		{"silent", time.Hour, []string{"35s true", "1m40s true"}, ""},
		{"slow", 40 * time.Second, []string{"35s true", "1m20s false"}, "image-name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := helmtest.New(t)
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				h, _ := acting(t, fake, acts{
					"install": func(ctx context.Context, c helmtest.Call) *helmtest.Reply {
						answer := fake.Perform(c)
						select {
						case <-time.After(2 * time.Minute):
							return &answer
						case <-ctx.Done():
							setRecord(fake, func(r *helmtest.Release) { r.Status = "failed" })
							return &helmtest.Reply{Exit: exitKilled}
						}
					},
					"status": func(ctx context.Context, _ helmtest.Call) *helmtest.Reply {
						select {
						case <-time.After(test.takes):
							return &helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Deployment":[` + deployment + `],"v1/Pod(related)":[` + podThat("p", waitingFor("InvalidImageName", 0)) + `]}}}`}
						case <-ctx.Done():
							return &helmtest.Reply{Exit: exitKilled}
						}
					},
				})
				_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{Wait: true, FailFast: FailFastRules(), Progress: func(p Progress) {
					seen = append(seen, fmt.Sprint(p.Elapsed, " ", errors.Is(p.Err, ErrClusterUnreachable)))
				}})
				assert.Equal(t, test.want, seen)
				var failed *ReleaseError
				if test.rule == "" {
					require.NoError(t, err)
				} else if assert.ErrorAs(t, err, &failed) {
					assert.Equal(t, test.rule, failed.FailFastRule)
				}
			})
		})
	}
}

// The selectors of a release may find pods of others, which have nothing to do with it.
func TestPodsOfOthers(t *testing.T) {
	const (
		rollout = `{"kind":"Rollout","metadata":{"name":"web","namespace":"a"}}`
		set     = `{"kind":"ReplicaSet","metadata":{"name":"web-5f5","namespace":"a"}}`
		jobs    = `{"kind":"Job","metadata":{"name":"web-5f5","namespace":"a"}}`
	)
	for _, test := range []struct {
		name, object, namespace, kind, owner string
		own                                  bool
	}{
		{"of its Deployment", deployment, "", "ReplicaSet", "web-5f5", true},
		{"of its Rollout", rollout, "a", "ReplicaSet", "web-5f5", true},
		{"of its ReplicaSet", set, "a", "ReplicaSet", "web-5f5", true},
		{"of its StatefulSet", statefulSet, "", "StatefulSet", "db", true},
		{"of nothing", deployment, "", "", "", true},
		{"of another Deployment", deployment, "", "ReplicaSet", "web-wrong-5f5", false},
		{"of another kind", jobs, "a", "ReplicaSet", "web-5f5", false},
		{"of another namespace", set, "b", "ReplicaSet", "web-5f5", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l live
			l.objects = make([]liveObject, 2)
			require.NoError(t, json.Unmarshal([]byte(test.object), &l.objects[0]))
			l.objects[1].Kind, l.objects[1].Metadata.Namespace = "Pod", test.namespace
			if test.owner != "" {
				l.objects[1].Metadata.OwnerReferences = []ownerReference{{Kind: "Node", Name: "n"}, {test.kind, test.owner, true}}
			}
			l.withoutOthers()
			assert.Len(t, l.objects, map[bool]int{true: 2, false: 1}[test.own])
		})
	}
}

// That pods of the revision before fail may be why there is an upgrade.
func TestUpgradeForgivesOldPods(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Status: "deployed", Revision: 1})
	pods, upgraded := make(chan string, 3), make(chan struct{})
	pods <- podThat("old", waitingFor("InvalidImageName", 0))
	pods <- podThat("old", waitingFor("InvalidImageName", 0)) + "," + podThat("new", running)
	looks := 0
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		if looks++; looks == 3 {
			close(upgraded)
		}
		objects := podThat("new", running)
		select {
		case objects = <-pods:
		default:
		}
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Deployment":[` + deployment + `],"v1/Pod(related)":[` + objects + `]}}}`}
	})
	inTurn(fake, "upgrade", installed(fake, "deployed", helmtest.Reply{Until: upgraded}))
	_, err := h.Upgrade(t.Context(), "web", chartFolder(t, "web", "1.2.3"), UpgradeOptions{
		Wait: true, FailFast: FailFastRules(), ProgressInterval: time.Millisecond,
	})
	require.NoError(t, err)
}

func TestFailFastIsChecked(t *testing.T) {
	h, fake := withFake(t, Config{})
	for _, rule := range []FailFastRule{{}, {Name: "x"}, {Reasons: []string{"x"}}, {Name: "x", Reasons: []string{"x"}, After: -1}} {
		_, err := h.Install(t.Context(), "web", "chart", InstallOptions{FailFast: []FailFastRule{rule}})
		assert.ErrorIs(t, err, ErrInvalidArgument)
	}
	for _, interval := range []time.Duration{-1, time.Millisecond} {
		_, err := h.Install(t.Context(), "web", "chart", InstallOptions{FailFastInterval: interval})
		assert.ErrorIs(t, err, ErrInvalidArgument)
	}
	assert.Empty(t, fake.Calls())
}

// FailFast and Progress look as often as each wants.
func TestFailFastHasItsOwnInterval(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.Hangs(helmtest.Blocker{Pod: "web-1", Container: "main", Reason: "InvalidImageName"})
	_, err := h.Install(t.Context(), "web", chartFolder(t, "web", "1.2.3"), InstallOptions{
		Wait: true, FailFast: FailFastRules(), FailFastInterval: minFailFastInterval,
		ProgressInterval: time.Hour, Progress: func(Progress) { t.Error("a report before its time") },
	})
	require.ErrorIs(t, err, ErrNotReady)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reports := 0
	fake.Hangs(helmtest.Blocker{Pod: "web-1", Container: "main", Reason: "InvalidImageName"})
	_, err = h.Install(ctx, "web", chartFolder(t, "web", "1.2.3"), InstallOptions{
		Wait: true, FailFast: FailFastRules(), FailFastInterval: time.Hour,
		ProgressInterval: time.Millisecond, Progress: func(Progress) {
			if reports++; reports == 2 { // the first look would have been enough for a rule
				cancel()
			}
		},
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrNotReady)
}

// docs/waiting.md has the reasons of each rule.
func TestRulesOnTheirPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "waiting.md"))
	require.NoError(t, err)
	for _, r := range FailFastRules() {
		assert.Contains(t, string(page), "\n| `"+r.Name+"` | `"+strings.Join(r.Reasons, "`, `")+"` | ")
	}
}
