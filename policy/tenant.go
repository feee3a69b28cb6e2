package policy

import (
	"maps"
	"slices"

	"github.com/sut-bench/helmexec/plan"
)

// TenantOptions says what Tenant allows. Its zero value allows one namespace and sets no totals.
// Validate says whether its texts and amounts can be understood.
type TenantOptions struct {
	// Registries are where images may come from, as for Images. nil allows all.
	Registries []string
	// Pinned wants a digest for every image.
	Pinned bool
	// Restricted wants pods of the level restricted. By default they are of the level baseline.
	Restricted bool
	// NoTokens wants pods without the token of their ServiceAccount.
	NoTokens bool
	// Limits bound what the plan requests. GPUs also names the devices that are allowed at all, none by default, and the
	// taints that pods may tolerate.
	Limits Limits
	// Kinds are allowed beside TenantKinds, as for Kinds: kinds of Kubernetes, and custom resources in a namespace. Kubernetes'
	// own of the whole cluster, such as CRDs, are never allowed, and Validate refuses them; of a custom resource nobody here
	// knows its scope, so whoever lists one vouches that it belongs to a namespace.
	Kinds []string
	// References are allowed as for References, such as "Secret/registry-login".
	References []string
}

// TenantKinds are the kinds that Tenant allows: workloads and what they need, in one namespace. Ingresses and
// NetworkPolicies are not among them, because they open what others closed.
func TenantKinds() []string {
	return []string{
		"ConfigMap", "PersistentVolumeClaim", "Pod", "ReplicationController", "Secret", "Service", "ServiceAccount",
		"apps/DaemonSet", "apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet",
		"autoscaling/HorizontalPodAutoscaler", "batch/CronJob", "batch/Job", "policy/PodDisruptionBudget",
		"rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding",
	}
}

// Tenant is the set of rules for a chart of strangers that gets a namespace of its own: it can run pods there, and reach
// neither the nodes, nor the cluster, nor what others have. The findings have the names of the rules that it consists of.
func Tenant(opts TenantOptions) plan.Rule {
	devicesAllowed := slices.Sorted(maps.Keys(opts.Limits.GPUs))
	level := baseline()
	if opts.Restricted {
		level = restricted()
	}
	checks := []check{
		kinds(slices.Concat(TenantKinds(), opts.Kinds)),
		namespaced(opts.Kinds),
		hooks(hookEvents),
		level,
		volumes([]string{"configMap", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}),
		hostPaths(),
		devices(devicesAllowed),
		tokens(opts.NoTokens),
		references(opts.References),
		rbac(),
		scheduling(devicesAllowed),
		services(),
		removable(),
		rollouts(),
		totals(opts.Limits),
	}
	if opts.Registries != nil {
		checks = append(checks, images(opts.Registries))
	}
	if opts.Pinned {
		checks = append(checks, digests())
	}
	return all(checks...)
}
