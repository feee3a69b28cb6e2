// Package corpus measures the image extractor against manifests whose images are known.
//
// A corpus is a folder with manifests in subfolders (one per group, such as charts and crs) and a file expected.json
// that maps each manifest's path to its images and hints.
package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	yamlnode "go.yaml.in/yaml/v3"

	"github.com/sut-bench/helmexec/manifest"
)

// Expected is the answer for one manifest.
type Expected struct {
	Images []string `json:"images"` // what a cluster pulls
	Hints  []string `json:"hints"`  // image-shaped text elsewhere
}

// Corpus is the manifests and answers of a folder.
type Corpus struct {
	Names     []string // sorted paths of the manifests
	Manifests map[string]manifest.Manifest
	Expected  map[string]Expected
}

// replaced is what Istio replaces by the image of its proxy in the gateways of a corpus. No cluster pulls it.
const replaced = "auto"

// Load reads a folder.
func Load(folder string) (*Corpus, error) {
	answers, err := os.ReadFile(filepath.Join(folder, "expected.json"))
	if err != nil {
		return nil, err
	}
	c := &Corpus{Manifests: make(map[string]manifest.Manifest)}
	if err := json.Unmarshal(answers, &c.Expected); err != nil {
		return nil, fmt.Errorf("expected.json: %w", err)
	}
	for name, expected := range c.Expected {
		expected.Images = slices.DeleteFunc(expected.Images, func(image string) bool { return image == replaced })
		c.Expected[name] = expected
		if c.Manifests[name], err = os.ReadFile(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
			return nil, err
		}
		c.Names = append(c.Names, name)
	}
	slices.Sort(c.Names)
	return c, nil
}

// Result is the measure of one group. Ratios are over all images of the group's manifests.
type Result struct {
	Group                    string
	Manifests, Bytes         int
	Images, Found, Missed    int // expected; answers that were given; expected and not given
	Wrong                    int // given and not expected
	Hints, MissedHints       int
	GivenHints               int
	Crashes                  int // panics
	Errors                   int // manifests with an error
	Times, Baseline, Reports []time.Duration
	Differences              []string // one line per difference
}

// Recall is the share of the expected images that were found.
func (r *Result) Recall() float64 { return ratio(r.Images-r.Missed, r.Images) }

// Precision is the share of the found images that were expected.
func (r *Result) Precision() float64 { return ratio(r.Found-r.Wrong, r.Found) }

// HintRecall is the share of the expected hints that were found, as a hint or as an image.
func (r *Result) HintRecall() float64 { return ratio(r.Hints-r.MissedHints, r.Hints) }

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// Speed is megabytes (10^6 bytes) per second over the whole group.
func (r *Result) Speed(times []time.Duration) float64 {
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return float64(r.Bytes) / 1e6 / sum.Seconds()
}

// Measure extracts every manifest and compares. A manifest's time is the best of the given number of rounds; the
// baseline is a decode of the same bytes into yaml.v3 nodes in the same rounds.
func (c *Corpus) Measure(rounds int) []*Result {
	groups := make(map[string]*Result)
	var results []*Result
	for _, name := range c.Names {
		group, _, _ := strings.Cut(name, "/")
		r := groups[group]
		if r == nil {
			r = &Result{Group: group}
			groups[group] = r
			results = append(results, r)
		}
		r.measure(name, c.Manifests[name], c.Expected[name], rounds)
	}
	return results
}

// everything leaves out no image, as the expected answers do.
var everything = manifest.ImageOptions{Exclude: []string{}}

func (r *Result) measure(name string, m manifest.Manifest, want Expected, rounds int) {
	defer func() {
		if crash := recover(); crash != nil {
			r.Crashes++
			r.Differences = append(r.Differences, fmt.Sprintf("%s: panic: %v", name, crash))
		}
	}()
	r.Manifests++
	r.Bytes += len(m)
	r.Images += len(want.Images)
	r.Hints += len(want.Hints)
	var got []string
	var report *manifest.ImageReport
	var err error
	r.Times = append(r.Times, best(rounds, func() { got, err = m.Images(everything) }))
	r.Baseline = append(r.Baseline, best(rounds, func() { DecodeNodes(m) }))
	r.Reports = append(r.Reports, best(rounds, func() { report, _ = m.ImageReport(everything) }))
	if err != nil {
		r.Errors++
		r.Differences = append(r.Differences, fmt.Sprintf("%s: error: %v", name, err))
	}
	r.Found += len(got)
	for _, image := range want.Images {
		if !slices.Contains(got, image) {
			r.Missed++
			r.Differences = append(r.Differences, fmt.Sprintf("%s: missed %s", name, image))
		}
	}
	for _, image := range got {
		if !slices.Contains(want.Images, image) {
			r.Wrong++
			r.Differences = append(r.Differences, fmt.Sprintf("%s: wrong %s", name, image))
		}
	}
	hints := make(map[string]bool)
	for _, hint := range report.Hints {
		hints[hint.Image] = true
	}
	r.GivenHints += len(hints)
	for _, hint := range want.Hints {
		if !hints[hint] && !slices.Contains(got, hint) {
			r.MissedHints++
			r.Differences = append(r.Differences, fmt.Sprintf("%s: missed hint %s", name, hint))
		}
	}
}

func best(rounds int, f func()) time.Duration {
	shortest := time.Duration(-1)
	for range max(1, rounds) {
		start := time.Now()
		f()
		if took := time.Since(start); shortest < 0 || took < shortest {
			shortest = took
		}
	}
	return shortest
}

// DecodeNodes decodes a stream into yaml.v3 nodes, which is the least that an extractor based on them must do.
func DecodeNodes(m []byte) {
	for decoder := yamlnode.NewDecoder(bytes.NewReader(m)); ; {
		var node yamlnode.Node
		if decoder.Decode(&node) != nil {
			return
		}
	}
}

// Print writes the results as a table.
func Print(w io.Writer, results []*Result) {
	fmt.Fprintf(w, "%-8s %5s %7s %7s %9s %7s %8s %7s %7s %9s %9s %9s %8s %8s %8s\n", "group", "files", "MB", "recall",
		"precision", "hints", "extra", "crashes", "errors", "p50", "p95", "max", "MB/s", "decode", "report")
	for _, r := range results {
		times := slices.Clone(r.Times)
		slices.Sort(times)
		at := func(q float64) time.Duration {
			return times[min(len(times)-1, int(q*float64(len(times))))].Round(time.Microsecond)
		}
		fmt.Fprintf(w, "%-8s %5d %7.2f %7.4f %9.4f %7.4f %8d %7d %7d %9s %9s %9s %8.1f %8.1f %8.1f\n", r.Group, r.Manifests,
			float64(r.Bytes)/1e6, r.Recall(), r.Precision(), r.HintRecall(), r.GivenHints-(r.Hints-r.MissedHints), r.Crashes,
			r.Errors, at(0.5), at(0.95), at(1), r.Speed(r.Times), r.Speed(r.Baseline), r.Speed(r.Reports))
	}
}
