package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
)

// buildPrograms builds the programs that are measured as processes of their own, without a C library, as programs for
// containers are: loading one costs each process a millisecond.
func (b *bench) buildPrograms() error {
	cmd := exec.CommandContext(b.ctx, "go", "build", "-o", b.programs()+"/", "./cmd/runner", "./cmd/empty")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w (run it in the folder bench): %s", err, out)
	}
	return err
}

func (b *bench) programs() string { return filepath.Join(b.dir, "bin") }

// process runs one of these programs until it ends. The CPU time is that of the process and its helms.
func (b *bench) process(program string, args ...string) (out []byte, c cost, err error) {
	cmd := exec.CommandContext(b.ctx, filepath.Join(b.programs(), program), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begin := time.Now()
	out, err = cmd.Output()
	c.wall = time.Since(begin)
	if err != nil {
		return nil, c, fmt.Errorf("%s: %w: %s", program, err, stderr.String())
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return out, c, nil
}

// runner lets a new process carry out an order.
func (b *bench) runner(o job.Order) (report job.Report, c cost, err error) {
	if o.Binary == "" {
		o.Binary = b.binary
	}
	text, err := json.Marshal(o)
	if err != nil {
		return report, c, err
	}
	out, c, err := b.process("runner", string(text))
	if err == nil {
		err = json.Unmarshal(out, &report)
	}
	return report, c, err
}

// newProcess: what a process costs that needs only what its home has, against a Go program that does nothing.
func (b *bench) newProcess() error {
	order := job.Order{
		Task: job.Images, Home: filepath.Join(b.dir, "runner"), Chart: b.repo.URL + job.ChartAt(0) + ":1.0.0",
		Values: helmexec.Values{"image": "registry.example/job:1"},
	}
	if _, _, err := b.runner(order); err != nil { // fills the home
		return err
	}
	var ours, empty []cost
	helms := 0
	for round := range 20 * b.rounds {
		both := []func() error{
			func() error {
				report, c, err := b.runner(order)
				ours, helms = append(ours, c), max(helms, report.Helms())
				return err
			},
			func() error {
				_, c, err := b.process("empty")
				empty = append(empty, c)
				return err
			},
		}
		for i := range both {
			if err := both[(i+round)%2](); err != nil {
				return err
			}
		}
	}
	const most = 10 * time.Millisecond
	time, cpu := beyond(ours, empty, wall), beyond(ours, empty, total)
	b.rows = append(b.rows, row{
		benchmark: "new process, warm home: `New`, `Chart2Info` (pinned), `Chart2Images`", must: "0 helm processes, ≤ 10 ms of wall and of CPU beyond an empty Go program",
		got: fmt.Sprintf("%d processes, wall %s, CPU %s more", helms, ms(time), ms(cpu)), reached: helms == 0 && time <= most && cpu <= most,
		notes: fmt.Sprintf("from the start of the process to its end: wall %s, CPU %s; the empty program %s and %s",
			ms(median(of(ours, wall))), ms(median(of(ours, total))), ms(median(of(empty, wall))), ms(median(of(empty, total)))),
	})
	return nil
}

// spread gives the jobs to n processes on one home.
func (b *bench) spread(home string, n, jobs int) (cost, error) {
	return measure(func() error {
		return job.AtOnce(n, func(i int) error {
			_, _, err := b.runner(job.Order{
				Task: job.Many, Home: filepath.Join(b.dir, home), Chart: b.repo.URL, First: i * jobs / n, Jobs: jobs / n,
			})
			return err
		})
	})
}

// manyProcesses: 100 goroutines' work from some processes on one home, against one process.
func (b *bench) manyProcesses(processes, jobs int) (one, several []cost, twice int, err error) {
	for round := range b.rounds {
		for i := range 2 {
			n, all := 1, &one
			if (i+round)%2 == 1 {
				n, all = processes, &several
			}
			b.repo.ResetRequests()
			home := fmt.Sprintf("spread-%d-%d-%d", processes, round, n)
			c, err := b.spread(home, n, jobs)
			if err != nil {
				return nil, nil, 0, err
			}
			*all = append(*all, c)
			for chart := range job.Charts {
				twice += max(0, b.repo.Requests(job.ChartAt(chart)[1:]+"-1.0.0.tgz")-1)
			}
			if err := os.RemoveAll(filepath.Join(b.dir, home)); err != nil {
				return nil, nil, 0, err
			}
		}
	}
	return one, several, twice, nil
}

// eight: few processes with many jobs each.
func (b *bench) eight() error {
	const workers, jobs = 8, 104
	one, eight, twice, err := b.manyProcesses(workers, jobs)
	if err != nil {
		return err
	}
	speed := 1 / ratio(eight, one, wall)
	b.rows = append(b.rows, row{
		benchmark: "the same from 8 processes on one home", must: "no error, no archive pulled twice, throughput within 20 % of one process",
		got: fmt.Sprintf("no error, %d pulled twice, %.2f of one process", twice, speed), reached: twice == 0 && speed >= 0.8,
		notes: fmt.Sprintf("%d jobs: %s", jobs, against(eight, one)),
	})
	return nil
}

// crowd: a process for each job.
func (b *bench) crowd() error {
	one, crowd, twice, err := b.manyProcesses(goroutines, goroutines)
	if err != nil {
		return err
	}
	speed := 1 / pairs(crowd, one, wall)
	b.rows = append(b.rows, row{
		benchmark: "the same from 100 processes, one for each job, on one home", must: "no error, no archive pulled twice, ≥ 0.9 of the throughput of one process",
		got: fmt.Sprintf("no error, %d pulled twice, %.2f of one process", twice, speed), reached: twice == 0 && speed >= 0.9,
		notes: fmt.Sprintf("%d jobs in an empty home: %s; median of %d pairs", goroutines, against(crowd, one), len(one)),
	})
	return nil
}

// against compares wall and CPU time for the notes.
func against(ours, theirs []cost) string {
	return fmt.Sprintf("%s against %s; CPU %s against %s", ms(median(of(ours, wall))), ms(median(of(theirs, wall))), ms(median(of(ours, total))), ms(median(of(theirs, total))))
}
