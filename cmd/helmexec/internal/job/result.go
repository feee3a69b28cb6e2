package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// The states of a SUT, in their order. The last three are final within an attempt.
const (
	Waiting     = "waiting"
	Installing  = "installing"
	Ready       = "ready"
	Measured    = "measured"
	Interrupted = "interrupted"
	Done        = "done"
	Failed      = "failed"
	Refused     = "refused"
)

// Result is what became of a job: the content of the result file.
type Result struct {
	Job     string      `json:"job" doc:"id of the job"`
	Attempt string      `json:"attempt" doc:"its attempt"`
	Started string      `json:"started" doc:"when the attempt began, in UTC"`
	Ended   string      `json:"ended,omitempty" doc:"when it ended; none while it runs"`
	SUTs    []SUTResult `json:"suts" doc:"the systems under test, in the order of the job"`
}

// SUTResult is what became of a SUT.
type SUTResult struct {
	Name             string            `json:"name" doc:"name of the SUT"`
	Release          string            `json:"release" doc:"name of its release"`
	Namespace        string            `json:"namespace,omitempty" doc:"where it is installed"`
	State            string            `json:"state" doc:"waiting, installing, ready, measured, interrupted; at the end done, failed or refused"`
	Chart            view.PlannedChart `json:"chart" doc:"what was rendered"`
	Plan             string            `json:"plan,omitempty" doc:"digest of its plan"`
	Images           []string          `json:"images" doc:"what a cluster pulls for it"`
	GPUs             map[string]int64  `json:"gpus" doc:"the accelerators that it takes"`
	Findings         []view.Finding    `json:"findings" doc:"what the rules have against it"`
	Misfits          []view.Misfit     `json:"misfits" doc:"workloads that the nodes cannot run"`
	ReadySeconds     float64           `json:"readySeconds,omitempty" doc:"from when Helm began the install that succeeded until it was ready; none if nobody saw when that was, see recovered"`
	Recovered        bool              `json:"recovered,omitempty" doc:"its install was found to have succeeded before: the command was killed meanwhile, or helm gave no answer; readySeconds is then what was measured before, if anything was"`
	BenchmarkSeconds float64           `json:"benchmarkSeconds,omitempty" doc:"how long the benchmark command ran"`
	BenchmarkExit    *int              `json:"benchmarkExit,omitempty" doc:"exit code of the benchmark command"`
	Seconds          float64           `json:"seconds" doc:"how long all of it took, without what a killed command did"`
	Error            *view.Error       `json:"error,omitempty" doc:"why it failed"`
	NotRemoved       bool              `json:"notRemoved,omitempty" doc:"its removal failed: the release may still be installed, and job clean removes it"`
	Remains          []view.Remain     `json:"remains" doc:"what stays of it: what Helm leaves by design, and after a failure what is known to be there"`
}

func (s SUTResult) final() bool { return s.State == Done || s.State == Failed || s.State == Refused }

// mayBeThere reports whether something of it may be in the cluster.
func (s SUTResult) mayBeThere() bool {
	return s.State == Installing || s.State == Ready || s.State == Measured || s.State == Interrupted && s.NotRemoved
}

func newResult(spec Spec) *Result {
	r := &Result{Job: spec.Job, Attempt: spec.Attempt, Started: time.Now().UTC().Format(time.RFC3339), SUTs: []SUTResult{}}
	for _, sut := range spec.SUTs {
		r.SUTs = append(r.SUTs, SUTResult{
			Name: sut.Name, Release: sut.release, State: Waiting, Images: []string{}, GPUs: map[string]int64{},
			Findings: []view.Finding{}, Misfits: []view.Misfit{}, Remains: []view.Remain{},
		})
	}
	return r
}

// kept are the results of another attempt, in a file beside those of this one.
type kept struct{ attempt, file string }

// loadResult continues the results of the same attempt. Otherwise it begins new ones, and keeps those of the attempt before.
func loadResult(path string, spec Spec) (*Result, kept, error) {
	var none kept
	fresh := newResult(spec)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, none, nil
	}
	if err != nil {
		return nil, none, fmt.Errorf("%w: results: %w", helmexec.ErrInvalidArgument, err)
	}
	var before Result
	if err = json.Unmarshal(text, &before); err == nil && before.Job == "" {
		err = errors.New("it has no job")
	}
	if err != nil {
		return nil, none, fmt.Errorf("%w: %s is no result file of job run: %w; name another file with --results, or remove this one",
			helmexec.ErrInvalidArgument, path, err)
	}
	if before.Job != spec.Job {
		return nil, none, fmt.Errorf("%w: %s has the results of job %q: name another file with --results", helmexec.ErrInvalidArgument, path, before.Job)
	}
	same := before.Attempt == spec.Attempt
	for _, old := range before.SUTs {
		i := slices.IndexFunc(fresh.SUTs, func(s SUTResult) bool { return s.Release == old.Release })
		if same && i >= 0 {
			fresh.SUTs[i] = old
		} else if old.mayBeThere() {
			return nil, none, fmt.Errorf("%w: %s says that SUT %q of attempt %s is %s: let that attempt end, or remove it (helmexec job clean) and the file",
				helmexec.ErrInvalidArgument, path, old.Name, before.Attempt, old.State)
		}
	}
	if same {
		fresh.Started = before.Started
		return fresh, none, nil
	}
	file, err := keep(path, before.Attempt, text)
	if err != nil {
		return nil, none, fmt.Errorf("the results of attempt %s cannot be kept: %w", before.Attempt, err)
	}
	return fresh, kept{before.Attempt, file}, nil
}

// keep writes the results of an attempt into a file of their own, beside that of path, and returns its name. A file with other
// content stays, and the name then gets a number.
func keep(path, attempt string, text []byte) (string, error) {
	ending := filepath.Ext(path)
	name := strings.TrimSuffix(path, ending) + ".attempt-"
	const longest = 255 - len(".100") // of a name, with a number to come
	name += inFileName(attempt, min(100, max(longest-len(filepath.Base(name))-len(ending), 0)))
	for n := 1; ; n++ {
		file := name + ending
		if n > 1 {
			file = name + "." + strconv.Itoa(n) + ending
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			there, unread := os.ReadFile(file)
			if unread != nil || !bytes.HasPrefix(text, there) {
				continue
			}
			if len(there) == len(text) {
				return file, nil
			}
			f, err = os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0o600) // the command was killed while it wrote it
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(text)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			os.Remove(file)
			return "", err
		}
		return file, nil
	}
}

// inFileName is a text as a part of a file name that every system takes. A long one is cut: the names of two may be the same.
func inFileName(text string, longest int) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if isPlain(rune(c)) || strings.IndexByte("._-", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	name := b.String()
	return name[:min(len(name), longest)]
}

// write puts the results into a file that is whole at each moment.
func (r *Result) write(path string) (err error) {
	text, err := out.JSON(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
