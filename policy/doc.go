// Package policy has rules that decide whether a plan may run. It is pure: it starts no process and contacts no cluster.
//
// A rule is a plan.Rule, a function over the plan that lists what it has against it: the rule, the object, the path in
// it, the value there, and what is wrong. Plan.Check runs rules.
//
//	findings := p.Check(policy.Baseline(), policy.Images("registry.example"), policy.Hooks("test"))
//
// Tenant is the set for charts of strangers. A rule of your own is a function like every other.
//
// The rules read what Kubernetes decodes, of objects, hooks and CRDs alike. What they cannot understand is a finding:
// a value of another type than Kubernetes has there, an amount that is no quantity, an image that the plan does not say.
//
// A rule sees the plan and not the cluster. Admission in the cluster, such as Pod Security Admission and ResourceQuota,
// holds also for what pods, operators and people do later.
package policy
