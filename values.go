package helmexec

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// Values are the values of a chart, or those a user gives over them.
//
// Values that this package reads hold map[string]any, []any, string, bool, nil, and for numbers int64, uint64 (only
// above the largest int64) or float64. A caller may put anything into them that encoding/json can write.
//
// Whole numbers are kept exactly up to 64 bits, on the way from a chart through Merge and back to helm. Helm itself
// makes a float64 of every number in values: a template prints 12345678901234567 as 1.2345678901234568e+16, and
// 1000000 as 1e+06. An id that matters belongs in quotes, in the chart and here.
type Values map[string]any

// Merge gives the values that a chart with the defaults v has when the user gives over, by Helm's rules: maps merge at
// every depth; lists, scalars, and a map against something else replace; null in over deletes the key. Neither is
// modified, and the result shares no map or list with them. A nil map or slice of Go is an empty one, not null.
//
// At the edges it does what Helm 4's coalescing does (pkg/chart/common/util.CoalesceValues): a null of over whose key
// is not in v stays in the result, and a null among the defaults does not get there. Helm 3 keeps the latter.
//
// The result tells what the chart will see. It is not a substitute for over in an Install: a key that is missing there
// gets the chart's default again.
func (v Values) Merge(over Values) Values {
	return coalesce(normalizeTable(v), normalizeTable(over), true)
}

// coalesce puts the defaults of a chart under over, in place. top says that they are the outermost maps, where Helm
// treats a null on both sides as a deletion; further down it keeps it.
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

// overlay lays a layer of a user's values over v, in place, as Helm combines several --values: like Merge, but a null is
// kept, for it is meant for the chart's default.
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

// normalize makes of a value what reading it from YAML would have made, sharing nothing with it: tables are
// map[string]any, lists []any. What cannot be written is returned as it is, and encode refuses it.
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

// encode writes the values for "helm --values -": as JSON, which is YAML that leaves nothing to guess (a text such as
// "no" or "1e3" stays text, no line can look like a document separator). The newline at the end is needed: Helm 4 can
// drop an unterminated last line.
func (v Values) encode() ([]byte, error) {
	text, err := json.Marshal(normalizeTable(v))
	if err != nil {
		return nil, fmt.Errorf("%w: values: %w", ErrInvalidArgument, err)
	}
	text = notInYAML.ReplaceAllFunc(text, func(c []byte) []byte {
		return fmt.Appendf(nil, `\u%04x`, []rune(string(c))[0])
	})
	return append(text, '\n'), nil
}

// notInYAML are the characters that JSON may hold as they are and YAML only escaped.
var notInYAML = regexp.MustCompile(`[\x{7f}-\x{9f}\x{feff}\x{fffe}\x{ffff}]`)

// parseValues reads values as Helm does. An empty text and one of comments give no values. The documents of a stream
// are laid over one another as Helm 4 does it; Helm 3 reads the first alone.
func parseValues(what string, data []byte) (Values, error) {
	if len(data) > safeyaml.MaxFileSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than the %d that values may have",
			ErrOutputTooLarge, what, len(data), safeyaml.MaxFileSize)
	}
	values := Values{}
	pass := safeyaml.NewReading(context.Background(), len(data))
	for _, doc := range safeyaml.Split(data) {
		var table map[string]any
		if err := pass.Decode(doc, &table, safeyaml.UseNumber); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		values.overlay(table)
	}
	return values, nil
}

// readValuesFile reads a local file of values.
func readValuesFile(path string) (Values, error) {
	if err := checkValuesPath(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: values file: %w", ErrInvalidArgument, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: values file %s is not a regular file", ErrInvalidArgument, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: values file: %w", ErrInvalidArgument, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, safeyaml.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("values file: %w", err)
	}
	values, err := parseValues("values file "+path, data)
	if err != nil && !errors.Is(err, ErrOutputTooLarge) {
		err = errdef.Invalidf("%w", err)
	}
	return values, err
}

// checkValuesPath refuses what helm would not read as a local file: "-" is its stdin, and a path with a scheme is
// fetched, also one that a plugin serves.
func checkValuesPath(path string) error {
	switch {
	case strings.TrimSpace(path) == "":
		return fmt.Errorf("%w: the path of a values file is empty", ErrInvalidArgument)
	case strings.TrimSpace(path) == "-":
		return fmt.Errorf("%w: values file %q: stdin is not read; give the values as Values", ErrInvalidArgument, path)
	case schemePattern.MatchString(path):
		scheme, _, _ := strings.Cut(path, ":")
		return fmt.Errorf("%w: a values file is a local path, not a URL (scheme %.20q); write ./ before a file name with a colon",
			ErrInvalidArgument, scheme)
	}
	return nil
}

// schemePattern matches what net/url takes for a scheme; one letter is a drive of Windows.
var schemePattern = regexp.MustCompile(`^\s*[a-zA-Z][a-zA-Z0-9+.-]+:`)
