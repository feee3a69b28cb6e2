package manifest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// GPUOptions adds rules about accelerators.
type GPUOptions struct {
	// Rules adds extended resources to those this package knows. They come before its own.
	Rules []GPURule
	// SkipHooks and SkipTests leave out what only hooks, or only helm test, use.
	SkipHooks, SkipTests bool
}

// GPUReport lists the accelerators that a manifest asks for. The names in its maps are extended resources
// (nvidia.com/gpu) and, for devices requested by claims (Dynamic Resource Allocation), device classes
// (gpu.nvidia.com).
type GPUReport struct {
	Workloads []GPUWorkload // the pod specs that ask for accelerators, in the order of the manifest
	// Totals is what the workloads need together when all run at once. It does not include hooks, which run before
	// or after, DaemonSets, whose number of pods is not in the manifest, or templates that something else must
	// refer to. A hook whose pods do not end, such as a Deployment, keeps what it takes while the others run: look for
	// it in Workloads.
	Totals   map[string]int64
	Warnings []GPUWarning
}

// GPUWorkload is one pod spec, or one part of a custom resource that an operator makes pods of.
type GPUWorkload struct {
	Place
	Requests []GPURequest     // by container
	Claims   []DeviceClaim    // by claim of the pod
	PerPod   map[string]int64 // what one pod takes, counted as the scheduler does; without shared claims
	Replicas int64            // pods: 0 for a template that something else has to refer to
	PerNode  bool             // one pod on each node (DaemonSet); Replicas is 1 then
	Template bool             // something else, or nobody, makes pods from it
}

// GPURequest is what one container asks for.
type GPURequest struct {
	Container string // empty for what the pod itself takes (the overhead of its RuntimeClass)
	Init      bool   // an init container, which is done before the others start
	Sidecar   bool   // an init container with restartPolicy Always, which stays
	Resource  string
	Vendor    string
	Kind      GPUKind
	Amount    int64
}

// DeviceClaim is what one claim of a pod asks for (Dynamic Resource Allocation).
type DeviceClaim struct {
	Name   string // in the pod
	Object string // name of the ResourceClaim or ResourceClaimTemplate
	Shared bool   // a ResourceClaim: allocated once, however many pods use it
	DeviceChoice
	Alternatives []DeviceChoice // other choices, in the order of preference
}

// DeviceChoice is an amount of devices of a class.
type DeviceChoice struct {
	DeviceClass string // empty if the object is not in the manifest
	Count       int64
	All         bool // all devices of a node that match; Count is 1 then
}

// GPUProblem is the kind of a warning.
type GPUProblem string

const (
	GPULimitsDiffer    GPUProblem = "limits-differ"    // Kubernetes refuses requests and limits that differ
	GPUNoLimit         GPUProblem = "no-limit"         // Kubernetes refuses a request without a limit
	GPUBadAmount       GPUProblem = "bad-amount"       // not a whole number
	GPUUnknownResource GPUProblem = "unknown-resource" // an extended resource that may be an accelerator
	GPUNotAsked        GPUProblem = "not-asked"        // an accelerator is used without being requested
	GPUPrivileged      GPUProblem = "privileged"       // sees every device of the node
	GPUUnknownClaim    GPUProblem = "unknown-claim"    // refers to a claim that is not in the manifest
	GPUOtherMeans      GPUProblem = "other-means"      // requested in a way that does not show the amount
	GPUByDefault       GPUProblem = "by-default"       // a LimitRange gives it to containers that do not name it
)

// GPUWarning is something about accelerators that a reader should look at.
type GPUWarning struct {
	Place
	Problem GPUProblem
	Message string
}

// GPUs returns the accelerators that the manifest asks for: extended resources of containers in pod specs and of
// custom resources, and device claims. Kubernetes uses a limit as the request if there is none; init containers
// count by their maximum, because they run one after the other. Tolerations and node selectors are not requests.
//
// A claim, a LimitRange and the overhead of a RuntimeClass count for the pods of their namespace in the manifest. An
// object without a namespace may be in any. Where several objects of a name fit, the one that asks for more counts, for
// each resource or device class.
//
// Documents that cannot be read are reported in the error, together with the report of the others.
func (m Manifest) GPUs(opts GPUOptions) (*GPUReport, error) {
	return m.GPUsContext(context.Background(), opts)
}

// GPUsContext is GPUs, but stops with the context's error when the context ends.
func (m Manifest) GPUsContext(ctx context.Context, opts GPUOptions) (*GPUReport, error) {
	reader, err := m.readGPUs(ctx, opts, newGivers())
	if reader.found.any() { // they may stand behind the pods that they give to
		reader, err = m.readGPUs(ctx, opts, reader.found)
	}
	if ctx.Err() != nil {
		return nil, errdef.ContextError(ctx)
	}
	reader.addUp()
	return reader.report, err
}

func (m Manifest) readGPUs(ctx context.Context, opts GPUOptions, given *givers) (*gpuReader, error) {
	reader := &gpuReader{
		opts: opts, rules: slices.Concat(opts.Rules, gpuRules),
		report: &GPUReport{Totals: make(map[string]int64)}, given: given, found: newGivers(),
	}
	err := m.read(ctx, func(doc *document) error {
		if !reader.mayMatter(doc) && doc.searchable() {
			return nil
		}
		reader.annotations, reader.refused = make(map[*cursor]string), nil
		return cmp.Or(walk(doc, reader.visit), reader.refused)
	})
	return reader, err
}

type gpuReader struct {
	opts   GPUOptions
	rules  []GPURule
	report *GPUReport
	given  *givers // what an earlier reading found
	found  *givers

	annotations map[*cursor]string // of this document, what gpuAnnotation found
	refused     error              // why this document is refused
}

// gpuWords are in every document that says something about accelerators.
var gpuWords = [][]byte{
	[]byte("imits"), []byte("equests"), []byte("privileged"), []byte("runtimeClassName"), []byte("VISIBLE_DEVICES"),
	[]byte("/dev/"), []byte("esourceClaim"), []byte("overhead"), []byte("extendedResourceName"), []byte("lassName"), []byte("resourcesPerNode"), []byte("gpu"), []byte("instanceType"), []byte("deviceName"),
}

// mayMatter tells from the bytes of a document whether it can say something about accelerators, if its keys are spelled
// as they read.
func (r *gpuReader) mayMatter(doc *document) bool {
	apiVersion, kind := doc.scanIdentity()
	if kind == "" {
		return true
	}
	if len(r.given.defaults) == 0 && !slices.ContainsFunc(gpuWords, func(word []byte) bool { return bytes.Contains(doc.Text, word) }) {
		return false
	}
	group, _ := SplitAPIVersion(apiVersion)
	of := scopeOf(group, kind)
	return of == scopeCustom || of == scopeTyped
}

// visit reads one mapping.
func (r *gpuReader) visit(c *cursor) bool {
	place := Place{Hooks: c.src.doc.hooks}
	switch {
	case c.bare, !c.object.carried && c.object.scope != scopeCustom && c.object.scope != scopeTyped, c.isArgument():
		return false
	case c.object.gives():
		r.readGiver(c) // also a hook, for what is not one
		return false
	case r.opts.SkipHooks && place.IsHook(), r.opts.SkipTests && place.IsTest():
		return false
	}
	switch pod := podOf(c); {
	case pod != nil:
		r.readPod(c, pod)
	case !c.inPod():
		r.readLone(c)
	}
	return true
}

// pod is the containers of a pod spec, or of a template of Argo that is made into one.
type pod struct {
	containers, initContainers []*cursor
	claims                     *yamlnode.Node
}

// podOf reads a mapping as a pod; nil if it is none.
func podOf(c *cursor) *pod {
	containers := c.list("containers")
	if isArgoWorkflow(c.object) {
		for _, key := range []string{"container", "script"} {
			if node := resolve(get(c.node, key)); node != nil && node.Kind == yamlnode.MappingNode {
				containers = append(containers, c.below(key, -1, node))
			}
		}
		if set := resolve(get(c.node, "containerSet")); set != nil {
			containers = append(containers, c.below("containerSet", -1, set).list("containers")...)
		}
		if c.key == "containerSet" {
			return nil
		}
		if len(containers) > 0 {
			containers = append(containers, c.list("sidecars")...)
		}
	}
	if len(containers) == 0 {
		return nil
	}
	return &pod{containers: containers, initContainers: c.list("initContainers"), claims: resolve(get(c.node, "resourceClaims"))}
}

// inPod reports a container that is read with its pod.
func (c *cursor) inPod() bool {
	if !c.isContainer() || c.parent == nil {
		return false
	}
	containers := resolve(c.parent.get("containers"))
	return containers != nil && containers.Kind == yamlnode.SequenceNode || isArgoWorkflow(c.object)
}

// list gives the mappings of the list at a key.
func (c *cursor) list(key string) []*cursor {
	list := resolve(get(c.node, key))
	if list == nil || list.Kind != yamlnode.SequenceNode {
		return nil
	}
	var items []*cursor
	for i, item := range list.Content {
		if item = resolve(item); item.Kind == yamlnode.MappingNode {
			items = append(items, c.below(key, i, item))
		}
	}
	return items
}

func (c *cursor) below(key string, index int, node *yamlnode.Node) *cursor {
	return &cursor{parent: c, key: key, index: index, node: node, object: c.object, src: c.src}
}

func (r *gpuReader) readPod(c *cursor, p *pod) {
	w := GPUWorkload{Place: c.place("", c.node), PerPod: make(map[string]int64)}
	for _, container := range p.containers {
		w.take(r.containerRequests(container))
	}
	r.addInit(&w, p.initContainers)
	w.take(r.overhead(c))
	r.addClaims(&w, claimsOf(p.claims))
	r.checkUse(c, p, len(w.Requests) > 0 || len(w.Claims) > 0)
	r.add(c, w)
}

// take adds requests that last as long as the pod.
func (w *GPUWorkload) take(requests []GPURequest) {
	for _, request := range requests {
		w.PerPod[request.Resource] = plus(w.PerPod[request.Resource], request.Amount)
	}
	w.Requests = append(w.Requests, requests...)
}

// containerRequests reads what a container of a pod asks for, or gets by default.
func (r *gpuReader) containerRequests(c *cursor) []GPURequest {
	resources := get(c.node, "resources")
	requests := r.requests(c, resources)
	defaults, _ := r.given.defaults.of("", c.object.Namespace)
	if len(defaults) == 0 {
		return requests
	}
	_, limits := extended(get(resources, "limits"))
	_, asked := extended(get(resources, "requests"))
	for _, request := range defaults {
		_, limited := limits[request.Resource]
		if _, asks := asked[request.Resource]; !limited && !asks {
			request.Container = scalar(get(c.node, "name"))
			requests = append(requests, request)
		}
	}
	return requests
}

// addInit adds the init containers. They run one after the other, before the containers, so the pod takes the
// larger of what the containers take and what the neediest of them takes; a sidecar stays, and adds to both.
func (r *gpuReader) addInit(w *GPUWorkload, initContainers []*cursor) {
	sidecars, neediest := make(map[string]int64), make(map[string]int64)
	for _, container := range initContainers {
		sidecar := scalar(get(container.node, "restartPolicy")) == "Always"
		for _, request := range r.containerRequests(container) {
			request.Init, request.Sidecar = !sidecar, sidecar
			w.Requests = append(w.Requests, request)
			name := request.Resource
			if sidecar {
				sidecars[name] = plus(sidecars[name], request.Amount)
				neediest[name] = max(neediest[name], sidecars[name])
			} else {
				neediest[name] = max(neediest[name], plus(sidecars[name], request.Amount))
			}
		}
	}
	for name, amount := range neediest {
		w.PerPod[name] = max(plus(w.PerPod[name], sidecars[name]), amount)
	}
}

// resourceFields are the fields of custom resources that hold the resources of a container.
var resourceFields = []string{"resources", "computeResources", "resourcesPerNode"}

// readLone reads resources outside of a pod spec, from which an operator makes a container.
func (r *gpuReader) readLone(c *cursor) {
	w := GPUWorkload{Place: c.place("", c.node), PerPod: make(map[string]int64)}
	for _, field := range resourceFields {
		w.take(r.requests(c, get(c.node, field)))
	}
	if gpu := resolve(get(c.node, "gpu")); gpu != nil { // Spark
		if name, amount := scalar(get(gpu, "name")), scalar(get(gpu, "quantity")); name != "" && amount != "" {
			w.take(r.request(c, name, amount))
		}
	}
	if c.key == "devices" && c.index < 0 { // KubeVirt: what a virtual machine is given of its node
		for _, device := range slices.Concat(c.list("gpus"), c.list("hostDevices")) {
			if name := scalar(get(device.node, "deviceName")); strings.Contains(name, "/") {
				w.take(r.request(device, name, "1"))
			}
		}
	}
	r.checkOtherMeans(c)
	r.add(c, w)
}

func (r *gpuReader) add(c *cursor, w GPUWorkload) {
	if len(w.Requests) == 0 && len(w.Claims) == 0 {
		return
	}
	w.Replicas, w.PerNode, w.Template = replicas(c)
	r.report.Workloads = append(r.report.Workloads, w)
}

func (r *gpuReader) warn(c *cursor, problem GPUProblem, format string, args ...any) {
	r.report.Warnings = append(r.report.Warnings, GPUWarning{
		Place: c.place("", c.node), Problem: problem, Message: fmt.Sprintf(format, args...),
	})
}
