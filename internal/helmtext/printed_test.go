package helmtext

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// printed is a release as helm prints it, with keys and values that look like the ones to be kept.
const printed = `{"name":"web","info":{"first_deployed":"2026-11-28T01:02:03.4+01:00","last_deployed":"2026-11-28T02:02:03.4+01:00","deleted":"",` +
	`"description":"it \"is\" {done}","status":"deployed","notes":"a: [\"b\\"},` +
	`"chart":{"metadata":{"name":"web","version":"1.2.3","appVersion":"9","annotations":{"files":"kept"}},"lock":null,` +
	`"templates":[{"name":"templates/a.yaml","data":"QUFB"},{"name":"b","data":"QkJC"}],"values":{"metadata":{"name":"large"},"a":[1,2,[3]]},"schema":null,"files":[]},` +
	`"config":{"name":"large","info":{"status":"failed"}},"manifest":"large \\\" } , \"name\":\"large\"","hooks":[{"name":"large","manifest":"large"}],` +
	`"version":7,"namespace":"team","apply_method":"ssa"}` + "\n"

func TestWithoutContent(t *testing.T) {
	var whole, bits bytes.Buffer
	if n, err := WithoutContent(&whole).Write([]byte(printed)); n != len(printed) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	w := WithoutContent(&bits)
	for i := range printed {
		if _, err := w.Write([]byte(printed[i : i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(whole.Bytes(), bits.Bytes()) {
		t.Errorf("in bits it is %s", bits.Bytes())
	}
	got, err := ParseRelease(whole.Bytes())
	if err != nil {
		t.Fatalf("%v: %s", err, whole.Bytes())
	}
	want, err := ParseRelease([]byte(printed))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v, %v", got, want, err)
	}
	if got.Name != "web" || got.Version != 7 || got.Info.Status != "deployed" || got.Info.Notes != `a: ["b\` || got.Chart.Metadata.AppVersion != "9" {
		t.Errorf("%+v", got)
	}
	if strings.Contains(whole.String(), "large") || strings.Contains(whole.String(), "QUFB") {
		t.Errorf("kept is %s", whole.String())
	}
}

// What is no release is seen for what it is.
func TestNoReleasePrinted(t *testing.T) {
	for _, out := range []string{
		"", "NAME: web\n", "Release web has been cancelled.\n" + printed, printed + "Release web has been cancelled.\n", printed + printed,
		strings.TrimSuffix(printed, "}\n"), "[]", `"web"`, printed[:60], "}" + printed, `{"a":`, `{"version":"1"}`,
	} {
		var kept bytes.Buffer
		if _, err := WithoutContent(&kept).Write([]byte(out)); err != nil {
			t.Fatal(err)
		}
		if (kept.Len() == 0) != (out == "") {
			t.Errorf("of %q is kept %q", out, kept.String())
		}
		if rel, err := ParseRelease(kept.Bytes()); err == nil {
			t.Errorf("%q is %+v", out, rel)
		}
	}
}

// All that is not left out stays as it is, for every text that is JSON.
func FuzzWithoutContent(f *testing.F) {
	f.Add(printed)
	f.Add(`{"name":"web","version":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		var kept bytes.Buffer
		if _, err := WithoutContent(&kept).Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		want, err := ParseRelease([]byte(text))
		if err != nil || !isObject(text) {
			return
		}
		if got, err := ParseRelease(kept.Bytes()); err != nil || !reflect.DeepEqual(got, want) && !foldedKeys(text) {
			t.Errorf("%q: %v, got %+v, want %+v", kept.String(), err, got, want)
		}
	})
}

func isObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

// foldedKeys reports whether a text may have keys that encoding/json takes for others: "Name", "n\u0061me".
func foldedKeys(text string) bool {
	return strings.ToLower(text) != text || strings.ContainsAny(text, "\\\u017f\u212a")
}

func TestUnrecorded(t *testing.T) {
	text, err := os.ReadFile("testdata/stderr/v4.3.1/not-recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]bool{
		string(text): true, CutMark + "the end": true, "": false, "level=WARN msg=\"this chart is deprecated\"\n": false,
	} {
		if got := Unrecorded(said); got != want {
			t.Errorf("%q is %v", said, got)
		}
	}
}
