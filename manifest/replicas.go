package manifest

import (
	"math"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// replicas tells how many pods an object makes of the pod spec at c: the counts on the way from the spec to the
// object multiplied. Where an autoscaler may change the number it is the smallest that serves, at least one.
func replicas(c *cursor) (count int64, perNode, template bool) {
	if strings.HasSuffix(c.object.Kind, "DaemonSet") {
		return 1, true, false
	}
	if templateKinds[c.object.Group+"/"+c.object.Kind] {
		return 0, false, true
	}
	if isArgoWorkflow(c.object) {
		return 1, false, false // its parallelism is a limit, and how often a template runs shows in the running
	}
	return multiply(c.levelReplicas(""), c.replicasAbove()), false, false
}

// replicasAbove multiplies the counts on the way from the object to the mapping.
func (c *cursor) replicasAbove() int64 {
	if c.parent == nil {
		return 1
	}
	if !c.counted {
		c.counted, c.above = true, multiply(c.parent.levelReplicas(c.key), c.parent.replicasAbove())
	}
	return c.above
}

// levelReplicas is the count that one mapping gives to what is below its key from.
func (c *cursor) levelReplicas(from string) int64 {
	// A group of one leader and size-1 workers (LeaderWorkerSet). Without a template of its own the leader is made
	// of the workers'.
	if size, ok := integer(c.get("size")); ok && from == "workerTemplate" {
		if c.get("leaderTemplate") != nil {
			size--
		}
		return max(0, size)
	}
	fields := replicaFields
	if c.object.scope == scopeTyped && !c.object.config {
		counted := countedFields[c.object.Group+"/"+c.object.Kind]
		if c.path("") != counted.at {
			return 1
		}
		fields = []string{counted.field}
	}
	count := int64(1)
	for _, field := range fields {
		n, ok := integer(c.get(field))
		if !ok {
			continue
		}
		if completions, limited := integer(c.get("completions")); limited && field == "parallelism" {
			n = min(n, completions)
		}
		if field == "minReplicas" {
			n = max(n, 1)
		}
		count = n
		break
	}
	if c == c.object.root {
		count = max(count, 1) // a field that may not exist must not hide what spec says
	}
	if workers, ok := integer(c.get("workerReplicas")); ok && from == "workerTemplate" {
		count = multiply(count, workers)
	}
	if hosts, ok := integer(c.get("numOfHosts")); ok { // Ray: the pods of one replica
		count = multiply(count, max(hosts, 1))
	}
	if nodes, ok := integer(get(c.get("multinode"), "nodeCount")); ok { // Dynamo: the pods of one replica
		count = multiply(count, max(nodes, 1))
	}
	node := c.get("multiNode") // NIM: the pods of one replica
	if nodes, ok := integer(get(node, "size")); ok {
		count = multiply(count, max(nodes, 1))
	} else if nodes, ok := integer(get(get(node, "parallelism"), "pipeline")); ok {
		count = multiply(count, max(nodes, 1))
	}
	return count
}

// integer reads a whole number that is not negative.
func integer(node *yamlnode.Node) (int64, bool) {
	n, err := strconv.ParseInt(scalar(node), 10, 64)
	return n, err == nil && n >= 0
}

// multiply and plus stop at the largest number instead of wrapping around.
func multiply(a, b int64) int64 {
	if a != 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}

func plus(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}

// quantity reads a Kubernetes quantity, rounded up. whole is false where it was a fraction, ok where it is none.
func quantity(text string) (n int64, whole, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true, n >= 0
	}
	number, suffix := text, ""
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '+' && r != '-' && r != '.' && (r < '0' || r > '9') }); i >= 0 {
		number, suffix = text[:i], text[i:]
	}
	factor, known := quantitySuffixes[suffix]
	if !known && len(suffix) > 1 && (suffix[0] == 'e' || suffix[0] == 'E') {
		exponent, err := strconv.Atoi(suffix[1:])
		factor, known = math.Pow10(exponent), err == nil
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || value < 0 {
		return 0, false, false
	}
	value *= factor
	rounded := math.Ceil(value)
	if rounded >= math.MaxInt64 {
		return math.MaxInt64, true, true
	}
	return int64(rounded), rounded == value, true
}

var quantitySuffixes = map[string]float64{
	"": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}
