package chart

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// Metadata is the content of a Chart.yaml. The fields are Helm's; the text comes from the author and must not
// be trusted, except Name and Version, which are checked.
type Metadata struct {
	APIVersion string `json:"apiVersion,omitempty"` // "v2"; "v1" for charts of Helm 2
	Name       string `json:"name,omitempty"`       // never empty, no path separator in it
	Version    string `json:"version,omitempty"`    // semantic version, a leading "v" and missing parts allowed
	AppVersion string `json:"appVersion,omitempty"` // version of what the chart installs, in any form

	KubeVersion string `json:"kubeVersion,omitempty"` // constraint on the cluster's version, such as ">=1.25.0-0"
	Type        string `json:"type,omitempty"`        // "application" (also when empty) or "library", which cannot be installed
	Deprecated  bool   `json:"deprecated,omitempty"`

	Description string            `json:"description,omitempty"`
	Keywords    []string          `json:"keywords,omitempty"`
	Home        string            `json:"home,omitempty"`
	Sources     []string          `json:"sources,omitempty"`
	Icon        string            `json:"icon,omitempty"`
	Maintainers []Maintainer      `json:"maintainers,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// Dependencies are the charts this one depends on, with those of a requirements.yaml (charts of Helm 2).
	Dependencies []Dependency `json:"dependencies,omitempty"`
	Condition    string       `json:"condition,omitempty"`
	Tags         string       `json:"tags,omitempty"`
}

// Maintainer is a person or group to ask about a chart.
type Maintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Dependency is a chart that another depends on, as its Chart.yaml names it.
type Dependency struct {
	Name       string `json:"name"`
	Version    string `json:"version,omitempty"`    // a version or a range of them
	Repository string `json:"repository,omitempty"` // URL or alias of a repository; empty for a chart in charts/
	Alias      string `json:"alias,omitempty"`      // the key of its values, instead of the name
	Condition  string `json:"condition,omitempty"`  // comma-separated paths in the values; the first that is set decides
	// Tags enable or disable several dependencies together, by the values under "tags".
	Tags []string `json:"tags,omitempty"`
	// ImportValues are the values the parent takes from it: each a text, or a map with "child" and "parent".
	ImportValues []any `json:"import-values,omitempty"`
}

// parseMetadata reads a Chart.yaml; what names it in errors.
func parseMetadata(what string, text []byte) (*Metadata, error) {
	m := &Metadata{}
	if err := safeyaml.Unmarshal(what, text, m); err != nil {
		return nil, err
	}
	if m.APIVersion == "" {
		m.APIVersion = "v1" // Helm 2 did not need one, and Helm still accepts such a chart
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return m, nil
}

// addRequirements adds the dependencies of a requirements.yaml. Helm merges the whole file into Chart.yaml;
// there is no honest reason to change the chart's name or version there.
func (m *Metadata) addRequirements(what string, text []byte) error {
	var requirements Metadata
	if err := safeyaml.Unmarshal(what, text, &requirements); err != nil {
		return err
	}
	if requirements.Name != "" || requirements.Version != "" {
		return fmt.Errorf("%s gives the chart another name or version", what)
	}
	if requirements.Dependencies != nil {
		m.Dependencies = requirements.Dependencies
	}
	return nil
}

// Validate refuses what Helm refuses, as far as this package relies on it: the name becomes part of file
// names. Charts that were read are valid.
func (m *Metadata) Validate() error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case m.Name == "":
		return fmt.Errorf("the chart has no name")
	case m.Name == "." || m.Name == ".." || strings.ContainsAny(m.Name, `/\`) || strings.ContainsFunc(m.Name, unprintable):
		return fmt.Errorf("%.80q cannot be the name of a chart", m.Name)
	case len(m.Name) > maxChartName:
		return fmt.Errorf("the chart's name has %d bytes, more than %d", len(m.Name), maxChartName)
	case m.Version == "":
		return fmt.Errorf("chart %s has no version", m.Name)
	}
	if _, err := semver.NewVersion(m.Version); err != nil {
		return fmt.Errorf("chart %s: version %.80q is not a semantic version", m.Name, m.Version)
	}
	switch m.Type {
	case "", "application", "library":
		return nil
	}
	return fmt.Errorf("chart %s: type %.80q is neither application nor library", m.Name, m.Type)
}

// maxChartName leaves room for version and suffix in a file name of 255 bytes.
const maxChartName = 200
