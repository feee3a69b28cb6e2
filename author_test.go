package helmexec

import (
	"reflect"
	"testing"
)

func TestParseLint(t *testing.T) {
	// As Helm 3.22 and 4.3 print it.
	const out = `==> Linting ./web
[INFO] Chart.yaml: icon is recommended
[ERROR] templates/: template: web/templates/x.yaml:1:9: executing "web/templates/x.yaml" at <.Values.a.b>: nil pointer
  evaluating interface {}.b
[WARNING] templates/x.yaml: object name does not conform: "X"

Error: 1 chart(s) linted, 1 chart(s) failed
`
	want := []LintMessage{
		{"INFO", "Chart.yaml", "icon is recommended"},
		{"ERROR", "templates/", "template: web/templates/x.yaml:1:9: executing \"web/templates/x.yaml\" at <.Values.a.b>: nil pointer\n  evaluating interface {}.b"},
		{"WARNING", "templates/x.yaml", `object name does not conform: "X"`},
	}
	if got := parseLint(out); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := parseLint(""); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}
