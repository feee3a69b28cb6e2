package e2e

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// inHaste is one rule with other limits: what is a matter of minutes in a lab is one of seconds here.
func inHaste(name string) []helmexec.FailFastRule {
	rules := slices.DeleteFunc(helmexec.FailFastRules(), func(r helmexec.FailFastRule) bool { return r.Name != name })
	rules[0].After = min(rules[0].After, time.Second)
	return rules
}

// failsFast: the wait would take an hour.
func failsFast(b *bed) {
	hook := func(more string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: NAME-hook, annotations: {helm.sh/hook: pre-install}}\nspec:\n  backoffLimit: 0\n  template:\n    metadata: {labels: {" + more + "}}\n" +
			"    spec: {restartPolicy: Never, containers: [{name: main, image: x:1}]}\n"
	}
	fault := func(name string) string { return cluster.LabelFault + ": " + name }
	cases := map[string]struct {
		rule, says string
		values     helmexec.Values
		object     string // of a chart of its own
	}{
		"image":         {"image", "ImagePullBackOff", helmexec.Values{"fault": cluster.FaultImagePull}, ""},
		"no-such-image": {"image", "ImagePullBackOff", helmexec.Values{"image": "registry.test/nosuchimage:1"}, ""},
		"configuration": {"configuration", "CreateContainerConfigError", helmexec.Values{"fault": cluster.FaultConfigError}, ""},
		"crash-loop":    {"crash-loop", "CrashLoopBackOff", helmexec.Values{"fault": cluster.FaultCrashLoop}, ""},
		"stateful":      {"crash-loop", "CrashLoopBackOff", helmexec.Values{"fault": cluster.FaultCrashLoop, "kind": "StatefulSet"}, ""},
		"unschedulable": {"unschedulable", "Insufficient nvidia.com/gpu", helmexec.Values{"gpus": 9}, ""},
		"job":           {"job", "BackoffLimitExceeded", nil, strings.Replace(hook(fault(cluster.FaultFail)), ", annotations: {helm.sh/hook: pre-install}", "", 1)},
		"hook":          {"image", "ImagePullBackOff", nil, hook(fault(cluster.FaultImagePull))},
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var remains []helmexec.Remain
	for name, c := range cases {
		all.Go(func() {
			chart := sutChart
			if c.object != "" {
				chart = b.folder(map[string]string{"object.yaml": strings.ReplaceAll(c.object, "NAME", name)})
			}
			begin := time.Now()
			_, err := b.h.Install(b.ctx, name, chart, helmexec.InstallOptions{
				Wait: true, WaitForJobs: true, Timeout: time.Hour, Values: c.values, FailFast: inHaste(c.rule), ProgressInterval: 500 * time.Millisecond,
			})
			b.Logf("%s: after %v", name, time.Since(begin).Round(100*time.Millisecond))
			var failed *helmexec.ReleaseError
			if !errors.Is(err, helmexec.ErrNotReady) || errors.Is(err, context.Canceled) || !errors.As(err, &failed) {
				b.Errorf("%s: got %v, want ErrNotReady and no end of a context", name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			remains = append(remains, failed.Remains...)
			// Helm itself gives up on some.
			if text := err.Error(); !strings.Contains(text, "FailFast, rule "+c.rule) && !strings.Contains(text, "status: Failed") && name != "job" {
				b.Errorf("%s: %q does not name the rule %s", name, text, c.rule)
			}
			if !slices.ContainsFunc(failed.Blockers, func(blocker helmexec.Blocker) bool {
				return slices.Contains(strings.Split(c.says, ", "), blocker.Reason) || strings.Contains(blocker.Message, c.says)
			}) {
				b.Errorf("%s: the blockers %q do not say %s", name, failed.Blockers, c.says)
			}
		})
	}
	all.Wait()
	b.wantLeft(remains)

	b.refusePods()
	for kind, object := range map[string]string{"Deployment": "", "StatefulSet": "", "Job": hook("a: b")} {
		chart, name := sutChart, strings.ToLower(kind)
		if object != "" {
			chart = b.folder(map[string]string{"object.yaml": strings.ReplaceAll(object, "NAME", name)})
		}
		_, err := b.h.Install(b.ctx, name, chart, helmexec.InstallOptions{
			Wait: true, Timeout: time.Hour, Values: helmexec.Values{"kind": kind}, FailFast: inHaste("refused"), ProgressInterval: 500 * time.Millisecond,
		})
		b.wantErr(err, helmexec.ErrNotReady, "exceeded quota", "FailFast, rule refused")
	}
}

// slowAndNotFailedFast: each is in the way for a time, and then it is not. The rules are those for a lab.
func slowAndNotFailedFast(b *bed) {
	rules := helmexec.FailFastRules()
	opts := func(values helmexec.Values) helmexec.InstallOptions {
		return helmexec.InstallOptions{Wait: true, WaitForJobs: true, Timeout: time.Hour, Values: values, FailFast: rules, ProgressInterval: 500 * time.Millisecond}
	}
	var all sync.WaitGroup
	for _, fault := range []string{cluster.FaultPullLate, cluster.FaultConfigLate, cluster.FaultCrashRecovers} {
		for _, kind := range []string{"Deployment", "StatefulSet"} {
			all.Go(func() {
				name := strings.ToLower(fault + "-" + kind)
				if _, err := b.h.Install(b.ctx, name, sutChart, opts(helmexec.Values{"fault": fault, "kind": kind})); err != nil {
					b.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	all.Go(func() {
		// No node takes a pod before its claim is there.
		chart := b.folder(map[string]string{"pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: claims}\nspec:\n  containers: [{name: main, image: x:1, volumeMounts: [{name: data, mountPath: /data}]}]\n" +
			"  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]\n"})
		late := opts(nil)
		var once sync.Once
		late.Progress = func(p helmexec.Progress) {
			if p.Blocker == nil || p.Blocker.Reason != "Unschedulable" {
				return
			}
			once.Do(func() {
				b.must(b.cluster.Request(b.ctx, http.MethodPost, "/api/v1/namespaces/"+b.namespace+"/persistentvolumeclaims",
					"metadata: {name: data}\nspec: {storageClassName: standard, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n", nil))
			})
		}
		if _, err := b.h.Install(b.ctx, "claims", chart, late); err != nil {
			b.Errorf("claims: %v", err)
		}
	})
	all.Go(func() {
		// The selector of each finds the pods of both.
		chart := func(name, label string) string {
			return b.folder(map[string]string{"deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec:\n  selector: {matchLabels: {app: llm}}\n" +
				"  template: {metadata: {labels: {app: llm, " + label + "}}, spec: {containers: [{name: main, image: x:1}]}}\n"})
		}
		if _, err := b.h.Install(b.ctx, "neighbour", chart("llm-wrong", cluster.LabelFault+": "+cluster.FaultImagePull), helmexec.InstallOptions{}); err != nil {
			b.Errorf("neighbour: %v", err)
		}
		own := opts(nil)
		own.FailFast = inHaste("image")
		own.Progress = func(p helmexec.Progress) {
			if p.Total > 1 || p.Blocker != nil && strings.Contains(p.Blocker.Name, "wrong") {
				b.Errorf("llm: the neighbour's pods count: %+v %v", p, p.Blocker)
			}
		}
		if _, err := b.h.Install(b.ctx, "own", chart("llm", cluster.LabelReadyAfter+": 10s"), own); err != nil {
			b.Errorf("own: %v", err)
		}
		if r, err := b.h.Readiness(b.ctx, "neighbour", helmexec.ReadinessOptions{}); err != nil || len(r.Blockers) == 0 {
			b.Errorf("neighbour: got %+v, %v, want its blockers", r, err)
		}
	})
	all.Go(func() {
		job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: slow-job}\nspec:\n  backoffLimit: 0\n  template:\n    metadata: {labels: {" + cluster.LabelFinishAfter + ": 5s}}\n" +
			"    spec: {restartPolicy: Never, containers: [{name: main, image: x:1}]}\n"
		if _, err := b.h.Install(b.ctx, "slow-job", b.folder(map[string]string{"job.yaml": job}), opts(nil)); err != nil {
			b.Errorf("slow-job: %v", err)
		}
	})
	all.Wait()

	b.refusePods()
	room := opts(nil)
	var once sync.Once
	room.Progress = func(p helmexec.Progress) {
		if p.Blocker != nil && p.Blocker.Reason == "FailedCreate" {
			once.Do(func() {
				b.must(b.cluster.Request(b.ctx, http.MethodDelete, "/api/v1/namespaces/"+b.namespace+"/resourcequotas/none", nil, nil))
			})
		}
	}
	_, err := b.h.Install(b.ctx, "room", sutChart, room)
	b.must(err)
}
