package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// missing lists what a wanted value says and a live one does not. The API server may add fields, and items at the end
// of a list; it may leave out what is empty.
func missing(want, got any, path string) []string {
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		var all []string
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if !setByTheServer[path+"."+key] {
				all = append(all, missing(want[key], got[key], path+"."+key)...)
			}
		}
		return all
	case []any:
		got, _ := got.([]any)
		if len(got) < len(want) {
			return []string{fmt.Sprintf("%s has %d items, want %d", path, len(got), len(want))}
		}
		var all []string
		for i := range want {
			all = append(all, missing(want[i], got[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
		return all
	}
	if got == nil && (want == nil || reflect.ValueOf(want).IsZero()) || reflect.DeepEqual(want, got) || sameAmount(want, got) {
		return nil
	}
	return []string{fmt.Sprintf("%s is %#v, want %#v", path, got, want)}
}

// setByTheServer are fields that an object states and the API server decides.
var setByTheServer = map[string]bool{".status": true, ".metadata.creationTimestamp": true, ".apiVersion": true}

// missingIn is missing for an object. A Secret stores its texts in base64.
func missingIn(want map[string]any, got liveObject) []string {
	texts, _ := want["stringData"].(map[string]any)
	if want["kind"] == "Secret" && texts != nil {
		want = maps.Clone(want)
		delete(want, "stringData")
		data, _ := want["data"].(map[string]any)
		if data = maps.Clone(data); data == nil {
			data = map[string]any{}
		}
		for key, text := range texts {
			data[key] = base64.StdEncoding.EncodeToString(fmt.Append(nil, text))
		}
		want["data"] = data
	}
	return missing(want, map[string]any(got), "")
}

// sameAmount reports two spellings of one quantity: "0.5" and "500m", 1024 and "1Ki".
func sameAmount(a, b any) bool {
	x, ok := amount(a)
	y, alsoOK := amount(b)
	return ok && alsoOK && x == y
}

func amount(value any) (float64, bool) {
	if f, ok := value.(float64); ok {
		return f, true
	}
	text, ok := value.(string)
	if !ok {
		return 0, false
	}
	for i, unit := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if number, found := strings.CutSuffix(text, unit); found {
			f, err := strconv.ParseFloat(number, 64)
			return f * float64(int64(1)<<(10*(i+1))), err == nil
		}
	}
	for unit, factor := range map[string]float64{"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9} {
		if number, found := strings.CutSuffix(text, unit); found {
			f, err := strconv.ParseFloat(number, 64)
			return f * factor, err == nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

func TestMissing(t *testing.T) {
	for _, test := range []struct {
		want, got string
		missing   bool
	}{
		{`{"a": {"b": [1, {"c": "d"}]}}`, `{"a": {"b": [1, {"c": "d", "e": 1}, 2], "f": 1}}`, false},
		{`{"a": 1}`, `{"a": 2}`, true},
		{`{"a": 1}`, `{}`, true},
		{`{"a": 0, "b": "", "c": null, "d": {}, "e": []}`, `{}`, false},
		{`{"a": [1, 2]}`, `{"a": [1]}`, true},
		{`{"a": "0.5", "b": 1, "c": "1Gi"}`, `{"a": "500m", "b": "1", "c": "1024Mi"}`, false},
		{`{"a": "1Gi"}`, `{"a": "1Mi"}`, true},
		{`{"status": {"a": 1}}`, `{}`, false},
		{`{"spec": {"status": 1}}`, `{"spec": {}}`, true},
		{`{"kind": "Secret", "stringData": {"a": "b"}}`, `{"kind": "Secret", "data": {"a": "Yg=="}}`, false},
		{`{"kind": "Secret", "stringData": {"a": "c"}}`, `{"kind": "Secret", "data": {"a": "Yg=="}}`, true},
	} {
		var want, got map[string]any
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(test.got), &got); err != nil {
			t.Fatal(err)
		}
		if found := missingIn(want, got); len(found) > 0 != test.missing {
			t.Errorf("%s in %s: %q", test.want, test.got, found)
		}
	}
}
