package job

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

func TestOutage(t *testing.T) {
	away, forbidden := helmexec.ErrClusterUnreachable, errors.New("forbidden")
	for name, test := range map[string]struct {
		looks []error // one each 5 s
		end   int     // of the wait, in seconds
		want  time.Duration
	}{
		"none":           {[]error{nil, nil}, 10, 0},
		"forbidden":      {[]error{forbidden, forbidden}, 10, 0},
		"in the middle":  {[]error{nil, away, away, nil, nil}, 25, 10 * time.Second},
		"twice":          {[]error{away, nil, away, nil}, 20, 10 * time.Second},
		"to the end":     {[]error{nil, away, away}, 18, 8 * time.Second},
		"and a removal":  {[]error{nil, away, away}, 100, 10 * time.Second},
		"then forbidden": {[]error{away, forbidden}, 10, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			o := outage{every: 5 * time.Second}
			for i, err := range test.looks {
				o.see(err, began.Add(time.Duration(i+1)*5*time.Second))
			}
			assert.Equal(t, test.want, o.lasted(began.Add(time.Duration(test.end)*time.Second)))
		})
	}
}

// A SUT that is not ready because the cluster was away says so.
func TestNotReadyInAnOutage(t *testing.T) {
	for _, away := range []bool{true, false} {
		fake := helmtest.New(t)
		looks, seen := 0, make(chan struct{})
		fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
			fake.Perform(c)
			r, _ := fake.Release("", c.Arg(0))
			r.Status = "failed"
			fake.SetRelease(r)
			return helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: context deadline exceeded\n", Exit: 1, Until: seen}
		})
		fake.Handle("status", func(c helmtest.Call) helmtest.Reply {
			if looks++; looks == 3 {
				close(seen)
			}
			if away && looks <= 3 {
				return helmtest.Reply{Stderr: "Error: kubernetes cluster unreachable: Get \"https://gone/version\": connection refused\n", Exit: 1}
			}
			return fake.Perform(c)
		})
		h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
		require.NoError(t, err)
		chart, err := filepath.Abs("../cli/testdata/plain")
		require.NoError(t, err)
		spec := Spec{Job: "j", SUTs: []SUT{{Name: "a", Chart: chart}}}
		require.NoError(t, spec.complete(t.TempDir()))
		require.NoError(t, spec.choose(nil))
		r := Runner{
			Helm: h, Results: filepath.Join(t.TempDir(), "results.json"), every: 10 * time.Millisecond,
			Kind: func(error) (string, int) { return "", 1 }, Say: func(string, string, ...any) {}, Live: func(string) {},
		}
		result, err := r.Run(t.Context(), spec)
		require.ErrorIs(t, err, helmexec.ErrNotReady)
		assert.Equal(t, away, strings.Contains(result.SUTs[0].Error.Message, "the cluster did not answer for about 1s of it"), result.SUTs[0].Error.Message)
	}
}
