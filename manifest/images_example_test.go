package manifest_test

import (
	"fmt"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
)

const demo = `# Source: demo/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: demo
spec:
  replicas: 2
  template:
    spec:
      initContainers:
        - name: wait
          image: busybox
      containers:
        - name: server
          image: "quay.io/demo/server:v1.2" # the model server
          resources:
            limits:
              nvidia.com/gpu: 4
        - name: proxy
          image: nginx:1.27
`

func ExampleManifest_Images() {
	images, err := manifest.Manifest(demo).Images(manifest.ImageOptions{})
	fmt.Println(images, err)
	// Output: [nginx:1.27 quay.io/demo/server:v1.2] <nil>
}

func ExampleManifest_ImageReport() {
	report, err := manifest.Manifest(demo).ImageReport(manifest.ImageOptions{})
	if err != nil {
		fmt.Println(err)
	}
	for _, use := range report.Images {
		fmt.Println(use.Object, use.Path, use.Reference)
	}
	// Output:
	// apps/Deployment demo spec.template.spec.initContainers[0].image docker.io/library/busybox
	// apps/Deployment demo spec.template.spec.containers[0].image quay.io/demo/server:v1.2
	// apps/Deployment demo spec.template.spec.containers[1].image docker.io/library/nginx:1.27
}

func ExampleManifest_GPUs() {
	report, err := manifest.Manifest(demo).GPUs(manifest.GPUOptions{})
	if err != nil {
		fmt.Println(err)
	}
	for _, w := range report.Workloads {
		fmt.Println(w.Object, "takes", w.PerPod, "in each of", w.Replicas, "pods")
	}
	fmt.Println("together", report.Totals)
	// Output:
	// apps/Deployment demo takes map[nvidia.com/gpu:4] in each of 2 pods
	// together map[nvidia.com/gpu:8]
}

func ExampleGPUReport_Fits() {
	report, err := manifest.Manifest(demo).GPUs(manifest.GPUOptions{})
	if err != nil {
		fmt.Println(err)
	}
	node := map[string]int64{"nvidia.com/gpu": 6}
	for _, nodes := range [][]map[string]int64{{node}, {node, node}} {
		fits, misfits := report.Fits(nodes)
		fmt.Println(len(nodes), "nodes:", fits)
		for _, misfit := range misfits {
			fmt.Println(misfit.Unplaced, "pods of", misfit.Object, "have no node:", misfit.Reason)
		}
	}
	// Output:
	// 1 nodes: false
	// 1 pods of apps/Deployment demo have no node: the nodes have not enough left for it beside the others
	// 2 nodes: true
}

func ExampleManifest_Retag() {
	mirrors := manifest.RegistryMap{"docker.io": "mirror.lab/docker", "*": "mirror.lab/other"}
	after, report, err := manifest.Manifest(demo).Retag(mirrors.Rewrite, manifest.RetagOptions{})
	if err != nil {
		fmt.Println(err)
	}
	for _, change := range report.Changed {
		fmt.Println(change.From, "is", change.To)
	}
	for line := range strings.Lines(string(after)) {
		if strings.Contains(line, "image:") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// busybox is mirror.lab/docker/library/busybox
	// quay.io/demo/server:v1.2 is mirror.lab/other/demo/server:v1.2
	// nginx:1.27 is mirror.lab/docker/library/nginx:1.27
	// image: mirror.lab/docker/library/busybox
	// image: "mirror.lab/other/demo/server:v1.2" # the model server
	// image: mirror.lab/docker/library/nginx:1.27
}

func ExampleAddLabels() {
	label := manifest.AddLabels(map[string]string{"example.com/job": "7"})
	after, err := label(manifest.Manifest("apiVersion: v1\nkind: Service\nmetadata:\n  name: demo\n"))
	fmt.Print(string(after))
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// ---
	// apiVersion: v1
	// kind: Service
	// metadata:
	//   labels:
	//     example.com/job: "7"
	//   name: demo
}
