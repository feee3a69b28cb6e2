package cli

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// slow is an install that waits until its progress was looked at twice.
func slow(b *bench) {
	looks, seen := 0, make(chan struct{})
	b.fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		reply := b.fake.Perform(c)
		reply.Until = seen
		return reply
	})
	b.fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		if looks++; looks == 3 {
			close(seen)
		}
		return helmtest.Reply{Stdout: `{"info":{"resources":{"v1/Pod(related)":[
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}},
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-2"},"status":{"phase":"Pending","containerStatuses":[
				{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such \u001b[31mimage"}}}]}}]}}}`}
	})
}

const progressLine = `web: 1 of 2 pods ready; Pod web-2, container main: ImagePullBackOff: no such \x1b[31mimage`

func TestProgress(t *testing.T) {
	b := newBench(t)
	slow(b)
	got := b.run("install", "web", plain, "--wait", "--interval", "10ms")
	assert.Equal(t, 0, got.code)
	assert.Equal(t, progressLine+"\n", got.stderr, "one line, since nothing changes")
	assert.Equal(t, "web is deployed, revision 1\n", got.stdout)
}

func TestProgressOnATerminal(t *testing.T) {
	b := newBench(t)
	b.terminal = true
	slow(b)
	got := b.run("install", "web", plain, "--wait", "--interval", "10ms")
	assert.Equal(t, 0, got.code)
	assert.Regexp(t, `^\d+s  web: 1 of 2 pods ready; Pod web-2, container main: ImagePullBackOff[^\n]*\r +\r$`, got.stderr)
	assert.NotContains(t, got.stderr, "\x1b")
}

func TestColour(t *testing.T) {
	b := newBench(t)
	someReleases(b)
	assert.NotContains(t, b.run("list").stdout, "\x1b")
	b.colour = true
	assert.Contains(t, b.run("list").stdout, "\x1b[32mdeployed\x1b[0m")
	assert.NotContains(t, b.run("list", "-o", "json").stdout, "\x1b")
}

func TestNoColour(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        bool
	}{{"NO_COLOR", "", true}, {"NO_COLOR", "0", false}, {"TERM", "dumb", false}, {"TERM", "xterm", true}} {
		assert.Equal(t, test.want, wantsColour(func(name string) string {
			if name == test.name {
				return test.value
			}
			return ""
		}), "%s=%s", test.name, test.value)
	}
}

func TestVerbose(t *testing.T) {
	b := newBench(t)
	got := b.run("list", "-v")
	assert.Contains(t, got.stderr, "list")
	assert.NotContains(t, got.stdout, "level=")
}

// A command that works for long says what it does, or for whom it waits.
func TestSilenceIsBroken(t *testing.T) {
	b := newBench(t)
	b.patience = 10 * time.Millisecond
	someReleases(b)
	said := make(chan struct{})
	b.hears = hear("at work: helm uninstall of job-42-sut-web, ", func() { close(said) })
	b.fake.On("uninstall", helmtest.Reply{Until: said})
	got := b.run("uninstall", "job-42-sut-web")
	assert.Equal(t, 0, got.code, got.stderr)
}

func TestWorkInSilence(t *testing.T) {
	s := &silence{spans: map[int]helmexec.Span{}}
	begin := func(span helmexec.Span) context.Context { return s.Begin(t.Context(), span) }
	assert.Empty(t, s.work())
	now := time.Now()
	job := begin(helmexec.Span{Operation: "UninstallJob", Begun: now.Add(-time.Minute)})
	assert.Empty(t, s.work())
	begin(helmexec.Span{Operation: "Uninstall", Release: "web", Begun: now.Add(-30 * time.Second)})
	assert.Equal(t, "waiting for another process that works on web, or to try again, 30s so far", s.work())
	process := begin(helmexec.Span{Process: &helmexec.Process{Command: "get all"}, Release: "web", Begun: now.Add(-10 * time.Second)})
	begin(helmexec.Span{Process: &helmexec.Process{Command: "list"}, Begun: now.Add(-5 * time.Second)})
	assert.Equal(t, "helm get all of web, 10s so far", s.work())
	s.End(process, helmexec.Span{})
	s.End(job, helmexec.Span{})
	assert.Equal(t, "helm list, 5s so far", s.work())
}
