package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
