// Package job takes systems under test (SUTs) through a benchmark job.
package job

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/gate"
)

// Spec is a job as a file says it.
type Spec struct {
	Job             string      `json:"job" doc:"id of the job; its releases are found by it; quote a number, as in attempt"`
	Attempt         string      `json:"attempt,omitempty" doc:"a new one starts anew, the same one continues; 1 without it; quote a number, since YAML takes 1.10 for 1.1 and 010 for 8"`
	Namespace       string      `json:"namespace,omitempty" doc:"where the SUTs are installed; --namespace counts more"`
	CreateNamespace bool        `json:"createNamespace,omitempty" doc:"make the namespace if it is missing"`
	Parallel        int         `json:"parallel,omitempty" doc:"SUTs at once; all without it"`
	Timeout         Duration    `json:"timeout,omitzero" doc:"how long a SUT may take to get ready; 5m without it"`
	Deadline        Duration    `json:"deadline,omitzero" doc:"when a release is overdue, from its install on; never without it"`
	FailFast        bool        `json:"failFast,omitempty" doc:"do not wait for what no waiting mends"`
	Trusted         bool        `json:"trusted,omitempty" doc:"findings of the policy are recorded and do not refuse a SUT"`
	Policy          gate.Policy `json:"policy,omitzero" doc:"what charts may ask for"`
	Benchmark       []string    `json:"benchmark,omitempty" doc:"the command that measures a SUT which is ready, and its arguments; it runs in the folder of this file; nothing runs without it"`
	SUTs            []SUT       `json:"suts" doc:"the systems under test"`

	dir       string // of the file
	operation string // id of the operations of its SUTs
}

// SUT is a system under test.
type SUT struct {
	Name        string         `json:"name" doc:"as its team calls it"`
	Chart       string         `json:"chart" doc:"address of its chart; ./ and ../ begin at the folder of this file"`
	Version     string         `json:"version,omitempty" doc:"version of the chart or a constraint"`
	Values      map[string]any `json:"values,omitempty" doc:"values of the user"`
	ValuesFiles []string       `json:"valuesFiles,omitempty" doc:"files below them; a relative path begins at the folder of this file"`
	SkipCRDs    bool           `json:"skipCRDs,omitempty" doc:"leave out the custom resource definitions that the chart brings"`
	Timeout     Duration       `json:"timeout,omitzero" doc:"instead of that of the job"`

	release string
}

// Duration is a time such as 10m.
type Duration time.Duration

// UnmarshalJSON reads a text as time.ParseDuration does.
func (d *Duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := yaml.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s is not a time such as 10m", text)
	}
	parsed, err := time.ParseDuration(s)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("%s is not a time such as 10m", text)
	}
	*d = Duration(parsed)
	return nil
}

// Options say what of a job is run, and under which id.
type Options struct {
	ID    string // of the job; "" is that of the file
	Index *int   // of the one SUT that is run, from 0 on; nil is all
}

// Load reads a job from a file.
//
// Errors: helmexec.ErrInvalidArgument.
func Load(path string, opts Options) (Spec, error) {
	var s Spec
	if err := gate.Read(path, &s, "job run --help"); err != nil {
		return s, fmt.Errorf("%w: job: %w", helmexec.ErrInvalidArgument, err)
	}
	s.Job = cmp.Or(opts.ID, s.Job)
	err := s.complete(filepath.Dir(path))
	if err == nil {
		err = s.choose(opts.Index)
	}
	switch {
	case errors.Is(err, helmexec.ErrInvalidArgument):
		return s, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return s, fmt.Errorf("%w: %s: %w", helmexec.ErrInvalidArgument, path, err)
	}
	return s, nil
}

// complete checks a job, and sets what it leaves open.
func (s *Spec) complete(dir string) error {
	switch {
	case s.Job == "":
		return fmt.Errorf("job is missing: the id of the job")
	case len(s.SUTs) == 0:
		return fmt.Errorf("suts is missing: the systems under test")
	case s.Parallel < 0:
		return fmt.Errorf("parallel is %d: want a number of SUTs", s.Parallel)
	}
	if err := s.Policy.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if s.Attempt == "" {
		s.Attempt = "1"
	}
	if s.Parallel == 0 {
		s.Parallel = len(s.SUTs)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	s.dir = dir
	if len(s.Benchmark) > 0 {
		if s.Benchmark[0], err = program(dir, s.Benchmark[0]); err != nil {
			return fmt.Errorf("benchmark: %w", err)
		}
	}
	releases := map[string]string{}
	for i := range s.SUTs {
		sut := &s.SUTs[i]
		if sut.Name == "" || sut.Chart == "" {
			return fmt.Errorf("SUT number %d has no name or no chart", i+1)
		}
		if err := sut.resolve(dir); err != nil {
			return fmt.Errorf("SUT %q: %w", sut.Name, err)
		}
		sut.Timeout = cmp.Or(sut.Timeout, s.Timeout)
		sut.release = helmexec.SUTHelmName(s.Job, sut.Name)
		if other, taken := releases[sut.release]; taken {
			return fmt.Errorf("the SUTs %q and %q would both be release %s: rename one of them", other, sut.Name, sut.release)
		}
		releases[sut.release] = sut.Name
	}
	return nil
}

// resolve makes its paths begin at a folder.
func (s *SUT) resolve(dir string) error {
	if err := helmexec.ValidateAddress(s.Chart); err != nil {
		if _, statErr := os.Stat(filepath.Join(dir, s.Chart)); statErr == nil && filepath.IsLocal(s.Chart) {
			err = fmt.Errorf("%w; for the chart beside this file write %q", err, "./"+s.Chart)
		}
		return err
	}
	if strings.HasPrefix(s.Chart, "./") || strings.HasPrefix(s.Chart, "../") {
		s.Chart = filepath.Join(dir, s.Chart)
	}
	for i, file := range s.ValuesFiles {
		if !filepath.IsAbs(file) {
			s.ValuesFiles[i] = filepath.Join(dir, file)
		}
	}
	return nil
}

// program finds the benchmark command before anything is installed.
func program(dir, name string) (string, error) {
	if filepath.Base(name) != name && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	return exec.LookPath(name)
}

// choose leaves the SUT of an index, whose operation is then named by it.
func (s *Spec) choose(index *int) error {
	s.operation = s.Job + "/" + s.Attempt
	if index == nil {
		return nil
	}
	i := *index
	if i < 0 || i >= len(s.SUTs) {
		return fmt.Errorf("there is no SUT with the index %d: the first of %d has the index 0", i, len(s.SUTs))
	}
	s.operation += "/" + strconv.Itoa(i)
	s.SUTs, s.Parallel = s.SUTs[i:i+1], 1
	return nil
}

// isComplete refuses a SUT with a mistake of whoever wrote the job file, before anything of the job is begun. A chart that is missing is
// one of its team, which the other teams need not wait for.
func (s SUT) isComplete() error {
	if s.Version != "" && filepath.IsAbs(s.Chart) {
		return fmt.Errorf("%w: the version of the chart %s cannot be chosen: leave out version", helmexec.ErrInvalidArgument, s.Chart)
	}
	for _, file := range s.ValuesFiles {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%w: %w", helmexec.ErrInvalidArgument, err)
		}
	}
	return nil
}

// values are those of the files, and those of the job over them.
func (s SUT) values() (helmexec.Values, error) {
	return chart.UserValues(s.ValuesFiles, helmexec.Values(s.Values).Normal())
}
