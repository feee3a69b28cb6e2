package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sut-bench/helmexec"
)

// measure runs the benchmark command for a SUT that is ready. It becomes Measured only if it was there until the end: a job
// that is continued takes a Measured one that is gone for one that a killed command has removed.
func (r *Runner) measure(ctx context.Context, sut SUT, s *SUTResult, installed *helmexec.Release) error {
	if len(r.spec.Benchmark) == 0 {
		return r.update(func() { s.State = Measured })
	}
	mark, err := r.alone(ctx, sut)
	if err != nil {
		return fmt.Errorf("benchmark: %w", err)
	}
	began := time.Now()
	err = errors.Join(r.benchmark(ctx, sut, s.Namespace, mark), unlock(mark), mark.Close(), os.Remove(mark.Name()))
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("benchmark: %w", context.Cause(ctx)), err)
	}
	code := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		code = -1
	}
	if err != nil {
		err = fmt.Errorf("benchmark: %w", err)
	}
	took := time.Since(began).Seconds()
	changed := r.stillThere(ctx, sut, installed)
	return errors.Join(err, changed, r.update(func() {
		if s.BenchmarkExit, s.BenchmarkSeconds = &code, took; changed == nil {
			s.State = Measured
		}
	}))
}

// lookAgain is how often alone looks.
const lookAgain = 100 * time.Millisecond

// alone waits until a benchmark has ended that a killed command left, so that no two measure a SUT at once. The file that it
// gives is locked.
func (r *Runner) alone(ctx context.Context, sut SUT) (mark *os.File, err error) {
	mark, err = os.OpenFile(filepath.Join(r.plans(), sut.release+".benchmark"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			mark.Close()
		}
	}()
	for said := false; ; said = true {
		held, err := tryLock(mark)
		if held || err != nil {
			return mark, err
		}
		if !said {
			which := ""
			if group, _ := io.ReadAll(mark); len(group) > 0 { // it is written just after the start
				which = ", process group " + string(group)
			}
			r.Say(sut.Name, "waits for the benchmark that a killed command left%s", which)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lookAgain):
		}
	}
}

// benchmark runs the command and says its output line by line. When ctx ends, its process group gets a SIGTERM, and is
// killed if it has not ended 30 seconds later.
func (r *Runner) benchmark(ctx context.Context, sut SUT, namespace string, mark *os.File) error {
	cmd := exec.CommandContext(ctx, r.spec.Benchmark[0], r.spec.Benchmark[1:]...)
	cmd.Dir = r.spec.dir
	cmd.Env = append(os.Environ(),
		"HELMEXEC_JOB="+r.spec.Job, "HELMEXEC_ATTEMPT="+r.spec.Attempt, "HELMEXEC_SUT="+sut.Name, "HELMEXEC_RELEASE="+sut.release,
		"HELMEXEC_NAMESPACE="+namespace, "HELMEXEC_KUBECONFIG="+r.Kubeconfig)
	said := &lines{say: func(line string) { r.Say(sut.Name, "benchmark: %s", line) }}
	cmd.Stdout, cmd.Stderr = said, said
	stop, kill := inGroup(cmd)
	cmd.Cancel, cmd.WaitDelay = stop, 30*time.Second
	handDown(cmd, mark)
	err := cmd.Start()
	if err == nil {
		unnoted := mark.Truncate(0)
		if unnoted == nil {
			_, unnoted = mark.WriteAt([]byte(strconv.Itoa(cmd.Process.Pid)), 0)
		}
		err = errors.Join(cmd.Wait(), unnoted)
	}
	if ctx.Err() != nil && cmd.Process != nil {
		_ = kill() // what it started and did not wait for
	}
	said.end()
	return err
}

// lines gives what is written to it line by line.
type lines struct {
	say func(string)

	mu   sync.Mutex
	rest []byte
}

// longestLine is where a line is cut.
const longestLine = 4096

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, text...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < longestLine {
			return len(text), nil
		}
		if i < 0 || i > longestLine {
			l.say(string(l.rest[:longestLine]))
			l.rest = l.rest[longestLine:]
			continue
		}
		l.say(string(bytes.TrimSuffix(l.rest[:i], []byte("\r"))))
		l.rest = l.rest[i+1:]
	}
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.say(string(l.rest))
	}
	l.rest = nil
}
