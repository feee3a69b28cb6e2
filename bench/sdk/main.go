// Command sdk does with the Helm SDK, in process, what helmexec does with helm processes, so that bench
// can measure both in turns. It answers each line of stdin, a task, with a line that says what it cost.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/cli"
	"helm.sh/helm/v4/pkg/downloader"
	"helm.sh/helm/v4/pkg/getter"
	"helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/repo/v1"
)

// task is to resolve a chart of a repository in a new folder, or to render one on disk.
type task struct{ Repo, Chart, Dir string }

type answer struct {
	Wall, CPU time.Duration
	Bytes     int // of the manifest
}

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var t task
		switch err := in.Decode(&t); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			log.Fatal(err)
		}
		var a answer
		begin, used := time.Now(), cpu()
		var err error
		if t.Repo != "" {
			err = resolve(t)
		} else {
			a.Bytes, err = render(t.Chart)
		}
		if err != nil {
			log.Fatal(err)
		}
		a.Wall, a.CPU = time.Since(begin), cpu()-used
		if err := out.Encode(a); err != nil {
			log.Fatal(err)
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resolve refreshes a repository's index, pulls the latest version of a chart and reads it.
func resolve(t task) error {
	getters := getter.All(cli.New())
	entry := &repo.Entry{Name: "bench", URL: t.Repo}
	source, err := repo.NewChartRepository(entry, getters)
	if err != nil {
		return err
	}
	source.CachePath = t.Dir
	if _, err := source.DownloadIndexFile(); err != nil {
		return err
	}
	config := filepath.Join(t.Dir, "repositories.yaml")
	known := repo.NewFile()
	known.Update(entry)
	if err := known.WriteFile(config, 0o600); err != nil {
		return err
	}
	pull := downloader.ChartDownloader{
		Out: io.Discard, Getters: getters, RepositoryConfig: config, RepositoryCache: t.Dir, ContentCache: filepath.Join(t.Dir, "content"),
	}
	path, _, err := pull.DownloadTo("bench/"+t.Chart, "", t.Dir)
	if err != nil {
		return err
	}
	_, err = loader.Load(path)
	return err
}

// render renders a chart as "helm template" does.
func render(path string) (size int, err error) {
	chart, err := loader.Load(path)
	if err != nil {
		return 0, err
	}
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy, install.ReleaseName, install.Namespace, install.IncludeCRDs, install.Replace = action.DryRunClient, "release-name", "default", true, true
	rel, err := install.Run(chart, map[string]any{})
	if err != nil {
		return 0, err
	}
	read, err := release.NewAccessor(rel)
	if err != nil {
		return 0, err
	}
	return len(read.Manifest()), nil
}
