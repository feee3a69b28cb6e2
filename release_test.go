package helmexec

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSplitChart(t *testing.T) {
	for joined, want := range map[string][2]string{
		"web-1.2.3":               {"web", "1.2.3"},
		"my-web-app-1.2.3":        {"my-web-app", "1.2.3"},
		"web-v1.2.3":              {"web", "v1.2.3"},
		"web-1.2.3-rc.1+build.5":  {"web", "1.2.3-rc.1+build.5"},
		"web-2-1.2.3":             {"web-2", "1.2.3"},
		"web-1.0.0-alpha-1.2.3":   {"web", "1.0.0-alpha-1.2.3"}, // both are possible; a version is more often long
		"web":                     {"web", ""},
		"web-latest":              {"web-latest", ""},
		"":                        {"", ""},
		"kube-prometheus-72.3.18": {"kube-prometheus", "72.3.18"},
	} {
		name, version := splitChart(joined)
		assert.Equal(t, want, [2]string{name, version}, joined)
	}
}

// Helm reads a selector only if there is a release: a list that is empty because of a typing error looks like a clean cluster.
func TestListRefusesSelectorsAtOnce(t *testing.T) {
	h, fake := withFake(t, Config{})
	for _, selector := range []string{"(((", "a=b,,c", "a in (b"} {
		_, err := h.List(t.Context(), ListOptions{Selector: selector})
		assert.ErrorIs(t, err, ErrInvalidArgument, selector)
	}
	assert.Empty(t, fake.Calls())
}
