package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// The processes of TestManyCallers run this test binary; these variables say what to do.
const (
	callerVariable = "HELMEXEC_TEST_CALLER"       // the seed of its choices
	callsVariable  = "HELMEXEC_TEST_CALLER_CALLS" // how many calls
	homeVariable   = "HELMEXEC_TEST_CALLER_HOME"
	binaryVariable = "HELMEXEC_TEST_CALLER_BINARY"
	reposVariable  = "HELMEXEC_TEST_CALLER_REPOS" // URLs: kept, and one that comes and goes
)

// fullVariable makes TestManyCallers run for a quarter of an hour.
const fullVariable = "HELMEXEC_TEST_FULL"

// Callers in several processes share one home, and some are killed at any moment: no repository is
// lost, no file is half-written, and nobody waits for a dead caller.
func TestManyCallers(t *testing.T) {
	processes, calls, kills := 4, 12, 6
	if os.Getenv(fullVariable) != "" {
		processes, calls, kills = 8, 200, 100
	}
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run(helm, func(t *testing.T) {
			b := newBed(t, helm)
			var urls []string
			for i := range 4 {
				repo := b.repository(chartrepo.Options{})
				for v := range 3 {
					b.Must(repo.Add(b.chart("web", fmt.Sprintf("1.%d.0", v), fmt.Sprintf("maker-%d", i))))
				}
				urls = append(urls, repo.URL)
			}
			kept := urls[:3]
			for _, url := range kept {
				_, err := b.h.AddRepo(b.ctx, url, helmexec.RepoOptions{})
				b.Must(err)
			}

			start := func(seed int) *exec.Cmd {
				cmd := exec.CommandContext(b.ctx, os.Args[0])
				cmd.Env = append(os.Environ(), callerVariable+"="+strconv.Itoa(seed), callsVariable+"="+strconv.Itoa(calls),
					homeVariable+"="+b.Cfg.Home, binaryVariable+"="+b.Cfg.Binary, reposVariable+"="+strings.Join(urls, " "))
				cmd.Stderr = os.Stderr
				return cmd
			}
			var all sync.WaitGroup
			for i := range processes {
				all.Go(func() {
					if out, err := start(i).Output(); err != nil {
						b.Errorf("caller %d: %v\n%s", i, err, out)
					}
				})
			}
			// Beside them, callers that are killed after some of their calls.
			all.Go(func() {
				for i := range kills {
					b.killed(start(1000+i), rand.N(4), rand.N(300*time.Millisecond))
				}
			})
			all.Wait()

			// If somebody still holds a lock, these hang.
			repos, err := b.h.Repos(b.ctx)
			b.Must(err)
			for i, url := range kept {
				at := slices.IndexFunc(repos, func(r helmexec.Repo) bool { return r.URL == url })
				if at < 0 {
					b.Fatalf("repository %s is lost: %v", url, repos)
				}
				for v := range 3 {
					b.wantMaker(b.h, fmt.Sprintf("%s/web:1.%d.0", repos[at].Name, v), helmexec.ChartOptions{Refresh: true}, fmt.Sprintf("maker-%d", i))
				}
			}
			b.Must(b.h.UpdateRepos(b.ctx, helmexec.UpdateReposOptions{}))
			b.wantSoundCache()
		})
	}
}

// killed starts a caller and kills it after some calls and a pause.
func (b *bed) killed(cmd *exec.Cmd, calls int, pause time.Duration) {
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Error(err)
		return
	}
	lines := bufio.NewScanner(out)
	for range calls {
		lines.Scan()
	}
	time.Sleep(pause) // any moment of the next call
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// wantSoundCache checks every archive that callers may get.
func (b *bed) wantSoundCache() {
	b.Helper()
	archives, _ := filepath.Glob(filepath.Join(b.Cfg.Home, "archives", "*"))
	if len(archives) == 0 {
		b.Error("the cache is empty")
	}
	for _, path := range archives {
		ch, err := b.h.Fetch(b.ctx, path, helmexec.ChartOptions{})
		switch {
		case err != nil:
			b.Error(err)
		case filepath.Base(path) != strings.TrimPrefix(ch.Digest, "sha256:")+".tgz":
			b.Errorf("%s has digest %s", path, ch.Digest)
		}
	}
	for _, pattern := range []string{"pins/.new-*", "repositories/*/.new-*"} {
		if found, _ := filepath.Glob(filepath.Join(b.Cfg.Home, pattern)); len(found) > 3 {
			b.Errorf("half-written files: %q", found)
		}
	}
}

// call is a caller: mixed calls, each followed by a line. It reports every failure, except that the
// temporary repository is gone.
func call() int {
	seed, _ := strconv.Atoi(os.Getenv(callerVariable))
	calls, _ := strconv.Atoi(os.Getenv(callsVariable))
	urls := strings.Fields(os.Getenv(reposVariable))
	kept, other := urls[:len(urls)-1], urls[len(urls)-1]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	h, err := helmexec.New(helmexec.Config{Binary: os.Getenv(binaryVariable), Home: os.Getenv(homeVariable)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	choices := rand.New(rand.NewPCG(uint64(seed), 0))
	code := 0
	for i := range calls {
		at := choices.IntN(len(kept))
		version := fmt.Sprintf("1.%d.0", choices.IntN(3))
		what, gone := choices.IntN(8), false
		switch what {
		case 0:
			_, err = h.AddRepo(ctx, kept[at], helmexec.RepoOptions{})
		case 1:
			_, err = h.AddRepo(ctx, other, helmexec.RepoOptions{Name: "other"})
		case 2:
			gone = true
			err = h.RemoveRepo(ctx, "other")
		case 3:
			gone = true
			err = h.UpdateRepos(ctx, helmexec.UpdateReposOptions{})
		case 4:
			gone = true
			_, err = h.Fetch(ctx, "other/web:"+version, helmexec.ChartOptions{Refresh: true})
		case 5:
			_, err = h.Fetch(ctx, kept[at]+"/web", helmexec.ChartOptions{})
		default:
			var m helmexec.Manifest
			m, err = h.Template(ctx, kept[at]+"/web:"+version, helmexec.TemplateOptions{})
			if err == nil && !strings.Contains(string(m), "kind: Pod") {
				err = fmt.Errorf("rendered %q", m)
			}
		}
		if err != nil && !(gone && errors.Is(err, helmexec.ErrRepoNotFound)) {
			fmt.Printf("call %d, kind %d: %v\n", i, what, err)
			code = 1
		}
		fmt.Println("done")
	}
	return code
}
