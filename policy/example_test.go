package policy_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
	"github.com/sut-bench/helmexec/policy"
)

const rendered = `
apiVersion: batch/v1
kind: Job
metadata:
  name: prepare
  annotations: {helm.sh/hook: pre-install}
spec:
  template:
    spec:
      hostPID: true
      containers:
      - {name: main, image: "registry.example/suts/prepare:latest"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: prepare}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: bench}]
`

// noLatest is a rule of our own.
func noLatest(p *plan.Plan) []plan.Finding {
	var all []plan.Finding
	for _, use := range p.Images.Images {
		if use.Reference.Tag == "latest" {
			all = append(all, plan.Finding{Rule: "no-latest", Object: use.Object, Path: use.Path, Value: use.Image, Text: "may be another image tomorrow"})
		}
	}
	return all
}

// A program that uses helm gets its plan from Helm.Plan.
func ExampleTenant() {
	p, err := plan.New(context.Background(), plan.Input{
		Release: "web", Namespace: "bench", Chart: chart.Metadata{Name: "web", Version: "1.0.0"}, Rendered: manifest.Manifest(rendered),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range p.Check(policy.Tenant(policy.TenantOptions{}), noLatest) {
		fmt.Println(finding)
	}
	// Output:
	// baseline/hostNamespaces: batch/Job prepare spec.template.spec.hostPID: shares a namespace of the node: true
	// rbac: rbac.authorization.k8s.io/RoleBinding prepare roleRef.name: is a ClusterRole that is not in the plan: cluster-admin
	// no-latest: batch/Job prepare spec.template.spec.containers[0].image: may be another image tomorrow: registry.example/suts/prepare:latest
}
