package chart

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// Values are the values of a chart, or those a user gives over them.
//
// Values that this package reads contain map[string]any, []any, string, bool, nil, and for numbers int64,
// uint64 (only above the largest int64) or float64. A caller may put anything into them that encoding/json can
// write.
//
// Whole numbers are kept exactly up to 64 bits, on the way from a chart through Merge and back to helm. Helm
// itself converts every number in values to float64: a template prints 12345678901234567 as
// 1.2345678901234568e+16, and 1000000 as 1e+06. Put ids that must be exact in quotes, in the chart and here.
type Values map[string]any

// Merge returns the values that a chart with the defaults v gets if the user gives over, by Helm's rules: maps
// merge at every depth; lists, scalars, and a map against something else replace; null in over deletes the key.
// Neither is modified, and the result shares no map or list with them. A nil map or slice of Go is an empty
// one, not null.
//
// In special cases it does what Helm 4's coalescing does (pkg/chart/common/util.CoalesceValues): a null in over
// whose key is not in v stays in the result, and a null in the defaults is dropped. Helm 3 keeps the latter.
//
// The result is what the chart will see. Do not use it in place of over in an Install: a key that is missing
// there gets the chart's default again.
func (v Values) Merge(over Values) Values {
	return coalesce(normalizeTable(v), normalizeTable(over), true)
}

// coalesce puts the defaults of a chart under over, in place. top marks the outermost maps, where Helm treats a
// null on both sides as a deletion; further down it keeps it.
func coalesce(defaults, over map[string]any, top bool) map[string]any {
	for key, value := range defaults {
		wanted, given := over[key]
		switch {
		case given && wanted == nil:
			if value != nil || top {
				delete(over, key)
			}
		case value == nil:
		case !given:
			over[key] = withoutNulls(value)
		default:
			table, ok := wanted.(map[string]any)
			base, isTable := value.(map[string]any)
			if ok && isTable {
				coalesce(base, table, false)
			}
		}
	}
	return over
}

// withoutNulls removes the nulls of a table and the tables in it, in place.
func withoutNulls(value any) any {
	if table, ok := value.(map[string]any); ok {
		for key, value := range table {
			if value == nil {
				delete(table, key)
			} else {
				withoutNulls(value)
			}
		}
	}
	return value
}

// overlay lays a layer of a user's values over v, in place, as Helm combines several --values: like Merge, but
// a null is kept, because it is meant for the chart's default.
func (v Values) overlay(over map[string]any) { overlayTable(v, normalizeTable(over)) }

func overlayTable(base, over map[string]any) {
	for key, value := range over {
		table, isTable := value.(map[string]any)
		under, wasTable := base[key].(map[string]any)
		if isTable && wasTable {
			overlayTable(under, table)
		} else {
			base[key] = value
		}
	}
}

// Normal returns a copy that contains only the types above, and shares nothing with v. What JSON refuses stays
// as it is.
func (v Values) Normal() Values { return normalizeTable(v) }

// normalize converts a value to what reading it from YAML would give, sharing nothing with it: tables are
// map[string]any, lists []any. What cannot be written is returned as it is, and JSON refuses it.
func normalize(value any) any {
	switch value := value.(type) {
	case nil, bool, string, int, int64, uint64, float64:
		return value
	case map[string]any:
		return normalizeTable(value)
	case Values:
		return normalizeTable(value)
	case json.Number:
		return number(value)
	case json.Marshaler, encoding.TextMarshaler:
		return throughJSON(value)
	}
	rv := reflect.ValueOf(value)
	switch rv.Kind() {
	case reflect.Map:
		if rv.Type().Key().Kind() != reflect.String {
			return throughJSON(value)
		}
		table := make(map[string]any, rv.Len())
		for entries := rv.MapRange(); entries.Next(); {
			table[entries.Key().String()] = normalize(entries.Value().Interface())
		}
		return table
	case reflect.Slice, reflect.Array:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return throughJSON(value)
		}
		list := make([]any, rv.Len())
		for i := range list {
			list[i] = normalize(rv.Index(i).Interface())
		}
		return list
	}
	return throughJSON(value)
}

func normalizeTable(table map[string]any) map[string]any {
	out := make(map[string]any, len(table))
	for key, value := range table {
		out[key] = normalize(value)
	}
	return out
}

func throughJSON(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return value
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		return value
	}
	return normalize(out)
}

func number(n json.Number) any {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u
	}
	if f, err := n.Float64(); err == nil {
		return f
	}
	return n.String()
}

// JSON writes the values for "helm --values -" as JSON, which is unambiguous YAML (a text such as "no" or "1e3"
// stays text, no line can look like a document separator). The newline at the end is needed: Helm 4 can drop an
// unterminated last line.
func (v Values) JSON() ([]byte, error) {
	text, err := json.Marshal(normalizeTable(v))
	if err != nil {
		return nil, fmt.Errorf("%w: values: %w", ErrInvalid, err)
	}
	text = notInYAML().ReplaceAllFunc(text, func(c []byte) []byte {
		return fmt.Appendf(nil, `\u%04x`, []rune(string(c))[0])
	})
	return append(text, '\n'), nil
}

// notInYAML are the characters that JSON may contain unescaped, but YAML only escaped.
var notInYAML = pattern.New(`[\x{7f}-\x{9f}\x{feff}\x{fffe}\x{ffff}]`)
