package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/bench/internal/job"
)

// sdk: the cost of resolving and rendering a chart with the Helm SDK in process, in the separate program
// bench/sdk.
func (b *bench) sdk() error {
	if b.sdkProgram == "" {
		return nil
	}
	cmd := exec.CommandContext(b.ctx, b.sdkProgram)
	// Its environment is that of our helms: the settings of Go's runtime are not what is compared.
	cmd.Env, cmd.Stderr = append(os.Environ(), "GOGC=400", "GOMEMLIMIT=768MiB"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ask, answers := json.NewEncoder(in), json.NewDecoder(out)
	do := func(task map[string]string) (cost, error) {
		var a struct{ Wall, CPU time.Duration }
		if err := ask.Encode(task); err != nil {
			return cost{}, err
		}
		err := answers.Decode(&a)
		return cost{wall: a.Wall, cpu: a.CPU}, err
	}
	h, err := b.newHelm("sdk")
	if err != nil {
		return err
	}
	if _, err := h.AddRepo(b.ctx, b.repo.URL, helmexec.RepoOptions{}); err != nil {
		return err
	}
	var resolved, rendered, sdkResolved, sdkRendered []cost
	for i := range b.rounds {
		var ch *helmexec.ChartInfo
		ours, err := measure(func() (err error) {
			ch, err = h.Chart2Info(b.ctx, b.repo.URL+job.ChartAt(i), helmexec.ChartOptions{})
			return err
		})
		if err != nil {
			return err
		}
		dir := filepath.Join(b.dir, fmt.Sprint("sdk-", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		theirs, err := do(map[string]string{"Repo": b.repo.URL, "Chart": filepath.Base(job.ChartAt(i)), "Dir": dir})
		if err != nil {
			return err
		}
		resolved, sdkResolved = append(resolved, ours), append(sdkResolved, theirs)
		if ours, err = measure(func() error {
			_, err := h.Chart2Images(b.ctx, ch.Archive, helmexec.TemplateOptions{}, helmexec.ImageOptions{})
			return err
		}); err != nil {
			return err
		}
		if theirs, err = do(map[string]string{"Chart": ch.Archive}); err != nil {
			return err
		}
		rendered, sdkRendered = append(rendered, ours), append(sdkRendered, theirs)
	}
	if err := in.Close(); err != nil {
		return err
	}
	for _, r := range []struct {
		what         string
		ours, theirs []cost
	}{
		{"`Chart2Info` cold, unpinned: against the Helm SDK in process", resolved, sdkResolved},
		{"`Chart2Images`, nothing remembered: against a render by the Helm SDK in process", rendered, sdkRendered},
	} {
		b.rows = append(b.rows, row{
			benchmark: r.what,
			got:       fmt.Sprintf("CPU %.2f, wall %.2f", ratio(r.ours, r.theirs, total), ratio(r.ours, r.theirs, wall)),
			notes:     fmt.Sprintf("CPU %s against %s", ms(median(of(r.ours, total))), ms(median(of(r.theirs, total)))),
		})
	}
	return cmd.Wait()
}
