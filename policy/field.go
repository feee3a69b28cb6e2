package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/plan"
)

// field is a place in an object with what is there: nil for null, and for what does not exist. To read it as something
// that it is not is a fault of its own: nobody knows then what Kubernetes makes of it.
type field struct {
	of    *subject
	up    *field
	key   string // in up; "" for an item of a list
	index int
	value any
}

func (f *field) get(key string) *field {
	below := &field{of: f.of, up: f, key: key}
	switch value := f.value.(type) {
	case nil:
	case map[string]any:
		below.value = value[key]
	default:
		f.faultType("a mapping")
	}
	return below
}

// at is get for several keys.
func (f *field) at(way ...string) *field {
	for _, key := range way {
		f = f.get(key)
	}
	return f
}

func (f *field) item(i int) *field {
	return &field{of: f.of, up: f, index: i, value: f.value.([]any)[i]}
}

// items gives the items of a list.
func (f *field) items() []*field {
	switch value := f.value.(type) {
	case nil:
	case []any:
		items := make([]*field, len(value))
		for i := range value {
			items[i] = f.item(i)
		}
		return items
	default:
		f.faultType("a list")
	}
	return nil
}

// keys gives the keys of a mapping, in no order.
func (f *field) keys() map[string]any {
	fields, isMapping := f.value.(map[string]any)
	if !isMapping && f.value != nil {
		f.faultType("a mapping")
	}
	return fields
}

func (f *field) text() string {
	switch value := f.value.(type) {
	case nil:
	case string:
		return value
	default:
		f.faultType("a text")
	}
	return ""
}

// texts gives the items of a list of texts.
func (f *field) texts() []string {
	var all []string
	for _, item := range f.items() {
		all = append(all, item.text())
	}
	return all
}

// isTrue reports the boolean true. Also in a custom resource anything but a boolean is a fault: it may be meant as true.
func (f *field) isTrue() bool {
	switch value := f.value.(type) {
	case nil:
	case bool:
		return value
	default:
		f.fault("is not a boolean")
	}
	return false
}

func (f *field) isFalse() bool {
	value, isBool := f.value.(bool)
	return isBool && !value
}

// integer gives a whole number, and whether there is one.
func (f *field) integer() (int64, bool) {
	if f.value == nil {
		return 0, false
	}
	n, ok := wholeNumber(f.value)
	if !ok {
		f.faultType("a whole number")
	}
	return n, ok
}

func wholeNumber(value any) (int64, bool) {
	number, _ := value.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, 64)
	return n, err == nil
}

// faultType complains about a value of another type than Kubernetes decodes there.
func (f *field) faultType(want string) {
	if !f.of.custom {
		f.fault("is not %s", want)
	}
}

// fault adds a finding of the rule that runs about the field.
func (f *field) fault(format string, args ...any) {
	v := f.of.view
	finding := plan.Finding{
		Rule: v.rule, Object: f.of.outer.Object, Path: f.path(), Value: valueText(f.value), Text: fmt.Sprintf(format, args...),
	}
	if !v.seen[finding] {
		v.seen[finding] = true
		v.findings = append(v.findings, finding)
	}
}

const (
	maxPath  = 1024
	maxValue = 200
)

// path is the way from the object of the plan, such as spec.containers[0].image.
func (f *field) path() string {
	var parts []string
	for ; f.up != nil; f = f.up {
		if f.key == "" {
			parts = append(parts, "["+strconv.Itoa(f.index)+"]")
			continue
		}
		part := shortened(f.key, maxValue)
		if strings.ContainsAny(part, ".[]") {
			part = "[" + strconv.Quote(part) + "]"
		} else if f.up.up != nil {
			part = "." + part
		}
		parts = append(parts, part)
	}
	var path strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		path.WriteString(parts[i])
	}
	return shortened(path.String(), maxPath)
}

// valueText is a value for people.
func valueText(value any) string {
	switch value := value.(type) {
	case nil, map[string]any:
		return ""
	case []any:
		var texts []string
		for _, item := range value[:min(len(value), 10)] {
			texts = append(texts, valueText(item))
		}
		return shortened(strings.Join(texts, ", "), maxValue)
	}
	return shortened(fmt.Sprint(value), maxValue)
}

// shortened cuts a text that is longer than n bytes.
func shortened(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
