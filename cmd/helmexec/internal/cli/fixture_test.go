package cli

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

var update = flag.Bool("update", false, "write the golden files again")

// runsMain makes the test binary the command.
const runsMain = "HELMEXEC_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runsMain) != "" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// bench is what a test of the command works with.
type bench struct {
	*testing.T
	fake  *helmtest.Fake
	home  string
	dir   string // of files that the test makes
	stdin string

	colour, terminal bool
	patience         time.Duration
	plugin           *Plugin
	hears            func(string) // gets what is written to stderr
}

func newBench(t *testing.T) *bench {
	return &bench{T: t, fake: helmtest.New(t), home: t.TempDir(), dir: t.TempDir()}
}

// outcome is one run of the command.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs the command in this process.
func (b *bench) run(args ...string) outcome { return b.runUntil(b.Context(), args...) }

func (b *bench) runUntil(ctx context.Context, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	given := []string{"--helm=" + b.fake.Binary, "--home=" + b.home}
	if len(args) > 0 && strings.HasPrefix(args[0], "__complete") {
		args = append([]string{args[0]}, append(given, args[1:]...)...)
	} else {
		args = append(given, args...)
	}
	code := Run(ctx, args, Streams{
		Stdin: strings.NewReader(b.stdin), Stdout: &stdout, Stderr: io.MultiWriter(&stderr, ear(b.hears)), Colour: b.colour, Terminal: b.terminal, Width: 100, Patience: b.patience,
	}, b.plugin, func() {})
	return outcome{code, b.named(stdout.String()), b.named(stderr.String())}
}

// ear is a writer that may be nil.
type ear func(string)

func (e ear) Write(text []byte) (int, error) {
	if e != nil {
		e(string(text))
	}
	return len(text), nil
}

var (
	aTime    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	seconds  = regexp.MustCompile(`("[a-zA-Z]*[sS]econds": )[0-9.e-]+`)
	goIs     = regexp.MustCompile(`go1\.[0-9a-z.]+`)
	ownIs    = regexp.MustCompile(`(helmexec +|"version": ")(\(devel\)|v0\.0\.0[^"\s]*)`)
	randomly = regexp.MustCompile(`helmexec-doctor-\d+`)
)

// named gives what is another one each time a name.
func (b *bench) named(text string) string {
	text = strings.NewReplacer(b.fake.Binary, "HELM", b.home, "HOME", b.dir, "DIR", testdata(b.T), "TESTDATA").Replace(text)
	text = aTime.ReplaceAllStringFunc(text, func(at string) string {
		if strings.HasPrefix(at, "2030") {
			return at
		}
		return "TIME"
	})
	text = seconds.ReplaceAllString(text, "${1}0")
	text = goIs.ReplaceAllString(text, "GO")
	text = ownIs.ReplaceAllString(text, "${1}VERSION")
	return randomly.ReplaceAllString(text, "RANDOM")
}

func testdata(t *testing.T) string {
	dir, err := filepath.Abs("testdata")
	require.NoError(t, err)
	return dir
}

// write makes a file in the folder of the test.
func (b *bench) write(name, text string) string {
	path := filepath.Join(b.dir, name)
	require.NoError(b, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// golden compares a text with a file of testdata/golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test -update writes it")
	assert.Equal(t, string(want), got, "%s; go test -update writes it again", path)
}

// someReleases are releases of two jobs.
func someReleases(b *bench) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, r := range []helmtest.Release{
		{Name: "job-42-sut-web", Chart: "web", ChartVersion: "1.2.3", AppVersion: "2.0", Updated: at, Labels: map[string]string{"helmexec/job": "42"}},
		{Name: "job-42-sut-db", Chart: "db", ChartVersion: "0.9.0", Updated: at, Status: "failed"},
		{Name: "job-7-sut-web", Chart: "web", ChartVersion: "1.2.3", Updated: at, Status: "pending-install", Revision: 3},
	} {
		b.fake.SetRelease(r)
	}
}

// helm is the library, with the fake and the home of the command.
func (b *bench) helm() *helmexec.Helm {
	h, err := helmexec.New(helmexec.Config{Binary: b.fake.Binary, Home: b.home})
	require.NoError(b, err)
	return h
}

func packed(t *testing.T, folder string) []byte {
	archive, err := chartrepo.PackageDir(folder, "")
	require.NoError(t, err)
	return archive.Data
}
