// Package gate decides whether a plan may run here: by the rules for charts of strangers, and by what the nodes have.
package gate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
	"github.com/sut-bench/helmexec/policy"
)

// Policy is what charts may ask for, as a file says it.
type Policy struct {
	Registries []string           `json:"registries,omitempty" doc:"where images may come from; any without it"`
	Pinned     bool               `json:"pinned,omitempty" doc:"every image needs a digest"`
	Restricted bool               `json:"restricted,omitempty" doc:"pods of the level restricted, not baseline"`
	NoTokens   bool               `json:"noTokens,omitempty" doc:"no pod gets the token of its ServiceAccount"`
	Kinds      []string           `json:"kinds,omitempty" doc:"allowed beside the usual kinds, such as argoproj.io/Workflow"`
	References []string           `json:"references,omitempty" doc:"what a chart may use and does not make, such as Secret/registry-login"`
	Limits     Limits             `json:"limits,omitzero" doc:"the most of all requests together"`
	Nodes      []map[string]int64 `json:"nodes,omitempty" doc:"the accelerators of each node, such as nvidia.com/gpu: 8"`
}

// Limits bound what a plan requests in all.
type Limits struct {
	CPU     string           `json:"cpu,omitempty" doc:"such as 64 or 500m"`
	Memory  string           `json:"memory,omitempty" doc:"such as 256Gi"`
	Storage string           `json:"storage,omitempty" doc:"such as 1Ti"`
	GPUs    map[string]int64 `json:"gpus,omitempty" doc:"resources and device classes that are allowed at all; what the nodes have together without it"`
	Pods    int64            `json:"pods,omitempty" doc:"how many run"`
	Nodes   int64            `json:"nodes,omitempty" doc:"for how many pods a DaemonSet counts; as many as there are nodes without it"`
}

// Load reads a policy from a file.
func Load(path string) (Policy, error) {
	var p Policy
	if err := Read(path, &p, "check --help"); err != nil {
		return p, fmt.Errorf("%w: policy: %w", helmexec.ErrInvalidArgument, err)
	}
	return p, nil
}

// Read reads a YAML file that help describes. Its errors are in the words of a reader who knows YAML and not Go.
func Read(path string, into any, help string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		return fmt.Errorf("%s: %w; %s shows such a file", path, inWords(err), help)
	}
	return nil
}

func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		is := map[string]string{"string": "a text", "object": "a mapping", "array": "a list", "bool": "true or false", "number": "a number"}[wrong.Value]
		if is == "" {
			is = wrong.Value // such as number 1.5
		}
		return fmt.Errorf("%s is %s: want %s", cmp.Or(wrong.Field, "the file"), is, kindInWords(wrong.Type.Kind()))
	}
	text := err.Error()
	for _, before := range []string{"error unmarshaling JSON: while decoding JSON: ", "error unmarshaling JSON: ", "error converting YAML to JSON: "} {
		text = strings.TrimPrefix(text, before)
	}
	if name, unknown := strings.CutPrefix(text, "json: unknown field "); unknown {
		return fmt.Errorf("there is no field %s", name)
	}
	return errors.New(text)
}

func kindInWords(kind reflect.Kind) string {
	switch kind {
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	}
	return "a whole number"
}

// ParseNode reads the accelerators of a node, "nvidia.com/gpu=8,amd.com/gpu=2".
func ParseNode(text string) (map[string]int64, error) {
	node := map[string]int64{}
	for part := range strings.SplitSeq(text, ",") {
		name, amount, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(amount, 10, 64)
		if err != nil || name == "" || n < 0 {
			return nil, fmt.Errorf("%w: node %q: want names and amounts, such as nvidia.com/gpu=8", helmexec.ErrInvalidArgument, text)
		}
		node[name] = n
	}
	return node, nil
}

// Check says what is wrong with a plan, and what does not fit on the nodes unless these are nil.
func (p Policy) Check(of *plan.Plan) ([]plan.Finding, []helmexec.Misfit) {
	limits := policy.Limits(p.Limits)
	if limits.GPUs == nil {
		limits.GPUs = map[string]int64{}
		for _, node := range p.Nodes {
			for name, amount := range node {
				limits.GPUs[name] += amount
			}
		}
	}
	if limits.Nodes == 0 {
		limits.Nodes = int64(len(p.Nodes))
	}
	findings := of.Check(policy.Tenant(policy.TenantOptions{
		Registries: p.Registries, Pinned: p.Pinned, Restricted: p.Restricted, NoTokens: p.NoTokens,
		Kinds: p.Kinds, References: p.References, Limits: limits,
	}))
	var misfits []helmexec.Misfit
	if p.Nodes != nil {
		_, misfits = of.GPUs.Fits(p.Nodes)
	}
	return findings, misfits
}
