package policy

import (
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// Rollouts allows an upgrade only workloads whose pods take the place of those of the revision before, and which say how many
// pods they have. Others keep pods with older images and amounts that the plan does not show, or make new ones of an older
// template: a Deployment that is paused, a partition of a StatefulSet, the update strategy OnDelete, a ReplicaSet or
// ReplicationController, which replaces no pod. Without a number of replicas, and without an autoscaler in the plan, an upgrade
// leaves as many as an earlier autoscaler has made. It has nothing against an install.
func Rollouts() plan.Rule { return rollouts().rule() }

func rollouts() check {
	return check{"rollouts", func(v *view) {
		if !v.plan.Upgrade {
			return
		}
		scaled := map[manifest.ObjectRef]bool{}
		for _, s := range v.subjects {
			if s.is("autoscaling", "HorizontalPodAutoscaler") {
				target := s.root.at("spec", "scaleTargetRef")
				group, _ := manifest.SplitAPIVersion(target.get("apiVersion").text()) // with another one it scales nothing
				scaled[manifest.ObjectRef{Group: group, Kind: target.get("kind").text(), Name: target.get("name").text()}] = true
			}
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
			default:
				continue
			}
			if f := spec.get("replicas"); f.value == nil && s.ref.Kind != "DaemonSet" && !scaled[manifest.ObjectRef{Group: s.ref.Group, Kind: s.ref.Kind, Name: s.ref.Name}] {
				f.fault("is missing, and an upgrade leaves as many pods as there are")
			}
		}
	}}
}
