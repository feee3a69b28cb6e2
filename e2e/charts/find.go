// Package charts installs and removes charts, one after the other, and compares everything in the
// cluster before and after with what was reported.
package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chart is a chart to try.
type chart struct {
	name   string // the path below the folder of charts
	path   string
	values []string // files of values
}

// find lists the charts of a folder: folders and archives in it, or in a folder of it.
//
// Values come from NAME.values.yaml beside the folder or archive NAME, or else from the first
// ci/*-values.yaml in the folder, where charts have values for their own tests.
func find(folder string) ([]chart, error) {
	var found []chart
	for _, pattern := range []string{"*", "*/*"} {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if !isChart(path) || isChart(filepath.Dir(path)) {
				continue
			}
			name, err := filepath.Rel(folder, path)
			if err != nil {
				return nil, err
			}
			found = append(found, chart{name: filepath.ToSlash(name), path: path, values: valuesOf(path)})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no chart in %s or its subfolders: want folders with a Chart.yaml, or .tgz files", folder)
	}
	slices.SortFunc(found, func(a, b chart) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

func isChart(path string) bool {
	if strings.HasSuffix(path, ".tgz") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "Chart.yaml"))
	return err == nil
}

func valuesOf(path string) []string {
	beside := strings.TrimSuffix(path, ".tgz") + ".values.yaml"
	if _, err := os.Stat(beside); err == nil {
		return []string{beside}
	}
	inside, _ := filepath.Glob(filepath.Join(path, "ci", "*-values.yaml"))
	return inside[:min(1, len(inside))]
}
