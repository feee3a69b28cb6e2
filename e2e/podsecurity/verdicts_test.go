// Package podsecurity holds the rules of package policy for pods against Pod Security admission itself: its code, and a real API
// server.
package podsecurity

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	admission "k8s.io/pod-security-admission/policy"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/plan"
	"github.com/sut-bench/helmexec/policy"
)

// levels are the rules for the levels of the standard.
var levels = map[api.Level]plan.Rule{api.LevelBaseline: policy.Baseline(), api.LevelRestricted: policy.Restricted()}

// refused gives the controls that a rule finds violated in an object, sorted.
func refused(t *testing.T, rule plan.Rule, object string) []string {
	t.Helper()
	p, err := plan.New(t.Context(), plan.Input{
		Release: "web", Chart: chart.Metadata{Name: "web", Version: "1.0.0"}, Rendered: helmexec.Manifest(object),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, object)
	}
	controls := map[string]bool{}
	for _, f := range p.Check(rule) {
		if f.Path == "" || f.Object.Kind == "" {
			t.Errorf("a finding without its place: %v", f)
		}
		_, control, _ := strings.Cut(f.Rule, "/")
		controls[control] = true
	}
	return slices.Sorted(maps.Keys(controls))
}

// controlsOf are the checks of admission for a level, as they are in its newest version, by the names that policy has.
func controlsOf(level api.Level) map[string]admission.CheckPodFn {
	overridden := map[admission.CheckID]bool{}
	controls := map[string]admission.CheckPodFn{}
	for _, check := range admission.DefaultChecks() {
		if level == api.LevelRestricted {
			for _, id := range check.Versions[len(check.Versions)-1].OverrideCheckIDs {
				overridden[id] = true
			}
		}
	}
	for _, check := range admission.DefaultChecks() {
		if (check.Level == api.LevelBaseline || level == api.LevelRestricted) && !overridden[check.ID] {
			name := strings.TrimSuffix(strings.TrimSuffix(string(check.ID), "_baseline"), "_restricted")
			controls[name] = check.Versions[len(check.Versions)-1].CheckPod
		}
	}
	return controls
}

func newest(level api.Level) api.LevelVersion {
	return api.LevelVersion{Level: level, Version: api.LatestVersion()}
}

// defaulted is a pod as admission sees it: a volume without a type is an emptyDir by then.
func defaulted(pod core.Pod) *core.Pod {
	p := pod.DeepCopy()
	for i := range p.Spec.Volumes {
		if source := &p.Spec.Volumes[i].VolumeSource; *source == (core.VolumeSource{}) {
			source.EmptyDir = &core.EmptyDirVolumeSource{}
		}
	}
	return p
}

// TestVerdicts: of each pod both levels say what admission says, control by control, whatever kind it is in.
func TestVerdicts(t *testing.T) {
	evaluator, err := admission.NewEvaluator(admission.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	pods, rng := fixtures(t), rand.New(rand.NewPCG(1, 2))
	good := slices.DeleteFunc(slices.Clone(pods), func(pod core.Pod) bool {
		return !admission.AggregateCheckResults(evaluator.EvaluatePod(newest(api.LevelRestricted), &pod.ObjectMeta, &pod.Spec)).Allowed
	})
	pods = slices.Concat(pods, mutants(pods, 1000, rng), mutants(good, 500, rng))
	seen := map[string]bool{}
	pods = slices.DeleteFunc(pods, func(pod core.Pod) bool {
		text := textOf(t, pod)
		was := seen[text]
		seen[text] = true
		return was
	})
	if len(pods) < 400 {
		t.Errorf("%d pods, want 400", len(pods))
	}
	for level, rule := range levels {
		allowed, forbidden, admitted := map[string]int{}, map[string]int{}, 0
		for i, pod := range pods {
			var want []string
			seen := defaulted(pod)
			for name, check := range controlsOf(level) {
				if check(&seen.ObjectMeta, &seen.Spec).Allowed {
					allowed[name]++
				} else {
					forbidden[name]++
					want = append(want, name)
				}
			}
			slices.Sort(want)
			results := evaluator.EvaluatePod(newest(level), &seen.ObjectMeta, &seen.Spec)
			if admission.AggregateCheckResults(results).Allowed != (len(want) == 0) {
				t.Fatalf("the controls of this test are not those of %s", level)
			}
			if len(want) == 0 {
				admitted++
			}
			for _, object := range []string{podText(t, pod, "a"), template(t, pod, i%len(kinds))} {
				if got := refused(t, rule, object); !slices.Equal(got, want) {
					t.Errorf("%s: policy refuses %q, admission %q:\n%s", level, got, want, object)
				}
			}
		}
		for name := range controlsOf(level) {
			if allowed[name] == 0 || forbidden[name] == 0 {
				t.Errorf("%s: %s allows %d pods and forbids %d: want both", level, name, allowed[name], forbidden[name])
			}
		}
		t.Logf("%s: %d pods, of which %d are admitted; each is judged as a pod and as a template", level, len(pods), admitted)
	}
}
