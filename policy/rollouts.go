package policy

import "github.com/sut-bench/helmexec/plan"

// Rollouts allows an upgrade only workloads whose pods take the place of those of the revision before. Others keep pods with
// older images and amounts that the plan does not show, or make new ones of an older template: a Deployment that is paused, a
// partition of a StatefulSet, the update strategy OnDelete, a ReplicaSet or ReplicationController, which replaces no pod. It
// has nothing against an install.
func Rollouts() plan.Rule { return rollouts().rule() }

func rollouts() check {
	return check{"rollouts", func(v *view) {
		if !v.plan.Upgrade {
			return
		}
		for _, s := range v.subjects {
			spec := s.root.get("spec")
			switch s.name() {
			case "apps/Deployment":
				if f := spec.get("paused"); f.isTrue() {
					f.fault("keeps the pods of the revision before, and makes more of them")
				}
			case "apps/StatefulSet", "apps/DaemonSet":
				strategy := spec.get("updateStrategy")
				if f := strategy.get("type"); f.text() == "OnDelete" {
					f.fault("keeps the pods of the revision before")
				}
				f := strategy.at("rollingUpdate", "partition")
				if n, ok := f.integer(); ok && n != 0 {
					f.fault("keeps pods of the revision before, and makes more of them")
				}
			case "apps/ReplicaSet", "ReplicationController":
				s.root.get("kind").fault("keeps the pods of the revision before")
			}
		}
	}}
}
