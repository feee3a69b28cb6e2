// Package gate decides whether a plan may run here: by the rules for charts of strangers, and by what the nodes have.
package gate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
	"github.com/sut-bench/helmexec/policy"
)

// Policy is what charts may ask for, as a file says it.
type Policy struct {
	Registries []string           `json:"registries,omitzero" doc:"where images may come from; any without it, none if it is []"`
	Pinned     bool               `json:"pinned,omitempty" doc:"every image needs a digest"`
	Restricted bool               `json:"restricted,omitempty" doc:"pods of the level restricted, not baseline"`
	NoTokens   bool               `json:"noTokens,omitempty" doc:"no pod gets the token of its ServiceAccount"`
	Kinds      []string           `json:"kinds,omitempty" doc:"allowed beside the usual kinds, such as argoproj.io/Workflow"`
	References []string           `json:"references,omitempty" doc:"what a chart may use and does not make, such as Secret/registry-login"`
	Limits     Limits             `json:"limits,omitzero" doc:"the most of all requests together"`
	Nodes      []map[string]int64 `json:"nodes,omitzero" doc:"the accelerators of each node, such as nvidia.com/gpu: 8"`
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
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("policy: %s: %w", path, err)
	}
	return p, nil
}

// Validate refuses what is no amount, and what no image, kind or object can be.
func (p Policy) Validate() error {
	for _, node := range p.Nodes {
		for _, name := range slices.Sorted(maps.Keys(node)) {
			if node[name] < 0 || name == "" {
				return fmt.Errorf("%w: nodes: %q: %d is not what a node can have: want a name and an amount, such as nvidia.com/gpu: 8", helmexec.ErrInvalidArgument, name, node[name])
			}
		}
	}
	return p.options(policy.Limits(p.Limits)).Validate()
}

// options are those of the rules.
func (p Policy) options(limits policy.Limits) policy.TenantOptions {
	return policy.TenantOptions{
		Registries: p.Registries, Pinned: p.Pinned, Restricted: p.Restricted, NoTokens: p.NoTokens,
		Kinds: p.Kinds, References: p.References, Limits: limits,
	}
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
	if line := secondDocument(text); line != "" {
		return fmt.Errorf("%s: %s a second document, and would be left out: write one file for each", path, line)
	}
	var content any
	if err := yaml.Unmarshal(text, &content); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if content == nil {
		return fmt.Errorf("%s: the file says nothing; %s shows such a file", path, help)
	}
	if wrong := faultIn(content, reflect.TypeOf(into).Elem()); wrong != "" {
		return fmt.Errorf("%s: %s", path, wrong)
	}
	return nil
}

// secondDocument says what begins a document with content behind the first, which is the only one that is read; "" if nothing does.
func secondDocument(text []byte) string {
	decoder := yamlnode.NewDecoder(bytes.NewReader(text))
	for n := 1; ; n++ {
		var node yamlnode.Node
		switch err := decoder.Decode(&node); {
		case err == io.EOF, n == 1 && err != nil:
			return ""
		case err != nil:
			return fmt.Sprintf("what cannot be read (%s) begins", err)
		case n > 1 && len(node.Content) > 0 && node.Content[0].Tag != "!!null":
			return fmt.Sprintf("line %d begins", node.Line)
		}
	}
}

// faultIn finds what a decoder passes over. A key, or a place in a list, has no value where a type has fields: a list of which every
// line is commented out must not mean the same as no list. Or two keys fill one field, because their case does not count. It does
// not look into the values of charts, where null has a meaning.
func faultIn(content any, as reflect.Type) string {
	if as.Kind() == reflect.Interface {
		return ""
	}
	switch content := content.(type) {
	case nil:
		return "it" + noValue
	case map[string]any:
		filled := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(content)) {
			below := as
			switch as.Kind() {
			case reflect.Map:
				below = as.Elem()
			case reflect.Struct:
				var name string
				name, below = fieldOf(as, key)
				if other, twice := filled[name]; twice {
					return fmt.Sprintf("%s and %s are the same key: give only %s", other, key, name)
				}
				filled[name] = key
			}
			if found := faultIn(content[key], below); found != "" {
				return inside(key, found)
			}
		}
	case []any:
		for i, item := range content {
			if found := faultIn(item, as.Elem()); found != "" {
				return inside(fmt.Sprintf("number %d", i+1), found)
			}
		}
	}
	return ""
}

const noValue = " has no value: give it one, or leave it out"

func inside(key, found string) string {
	if found == "it"+noValue {
		return key + noValue
	}
	return key + ": " + found
}

// fieldOf is the field that a key of a file fills: its name there, and its type.
func fieldOf(as reflect.Type, key string) (string, reflect.Type) {
	for field := range as.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); strings.EqualFold(name, key) {
			return name, field.Type
		}
	}
	return key, reflect.TypeFor[any]()
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
	text = strings.Replace(text, "yaml: line ", "yaml: near line ", 1) // it is often the one before
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
	findings := of.Check(policy.Tenant(p.options(limits)))
	var misfits []helmexec.Misfit
	if p.Nodes != nil {
		_, misfits = of.GPUs.Fits(p.Nodes)
	}
	return findings, misfits
}
