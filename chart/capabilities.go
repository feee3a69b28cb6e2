package chart

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Capabilities is what a chart's templates ask about the cluster, as far as their text shows it.
type Capabilities struct {
	// Read reports whether a template of the chart or of a subchart, or a value that may become one, mentions
	// Capabilities, which tells Kubernetes' version and APIs.
	Read bool
	// APIs are the APIs that are quoted there, such as "policy/v1" or "monitoring.coreos.com/v1/ServiceMonitor",
	// sorted, at most 500.
	APIs []string
}

// ReadCapabilities searches the templates and values of a chart and of its subcharts, and the texts given besides.
// It reads text and renders nothing: a chart that puts a name together at run time is not seen to ask for it.
//
// Errors: as Read.
func ReadCapabilities(path string, opts Options, besides ...[]byte) (c Capabilities, err error) {
	defer func() { err = redact.Legible(err) }()
	parts := newParts(opts.Limits.withDefaults(), isRendered)
	if err := parts.read(path, cmp.Or(opts.Name, path)); err != nil {
		return c, err
	}
	names := map[string]bool{}
	search := func(text []byte) {
		c.Read = c.Read || bytes.Contains(text, []byte("Capabilities"))
		for _, found := range quotedAPI().FindAllSubmatch(text, -1) {
			names[string(found[1])] = true
		}
	}
	for _, text := range besides {
		search(text)
	}
	err = parts.subcharts(isRendered, func(_ string, _ bool, text []byte) error {
		search(text)
		return nil
	})
	if c.Read {
		c.APIs = slices.Sorted(maps.Keys(names))
		c.APIs = c.APIs[:min(len(c.APIs), maxAPIs)]
	}
	return c, err
}

// maxAPIs bounds what a chart can make of its plan.
const maxAPIs = 500

// quotedAPI is "group/version", "group/version/Kind" or "version/Kind" in any quotes.
var quotedAPI = pattern.New("[\"'`]" +
	`([a-z0-9][-a-z0-9.]{0,252}/v[0-9]{1,4}(?:(?:alpha|beta)[0-9]{1,4})?(?:/[A-Z][A-Za-z0-9]{0,62})?|v[0-9]{1,4}(?:(?:alpha|beta)[0-9]{1,4})?/[A-Z][A-Za-z0-9]{0,62})` +
	"[\"'`]")

// isRendered reports whether a file is a template or values, of the chart or of a subchart, or a packed chart.
func isRendered(name string) bool {
	inner, packed := inSubchart(name)
	return packed || inner == valuesFile || strings.HasPrefix(inner, "templates/")
}
