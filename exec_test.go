package helmexec

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func TestRunStdin(t *testing.T) {
	h, fake := withFake(t, Config{})
	_, err := h.run(t.Context(), invocation{args: []string{"status"}, stdin: []byte("a: 1\n")})
	require.Error(t, err) // no such release
	_, err = h.run(t.Context(), invocation{args: []string{"version"}})
	require.NoError(t, err)
	calls := fake.Calls()
	assert.Equal(t, "a: 1\n", calls[0].Stdin)
	assert.Empty(t, calls[1].Stdin, "nothing is inherited from the caller's stdin")
}

func TestRunEnvironmentOfOneCall(t *testing.T) {
	h, fake := withFake(t, Config{Env: map[string]string{"A": "config", "B": "config"}})
	_, err := h.run(t.Context(), invocation{args: []string{"version"}, env: []string{"A=call"}})
	require.NoError(t, err)
	assert.Equal(t, "call", fake.Calls()[0].Env["A"])
	assert.Equal(t, "config", fake.Calls()[0].Env["B"])
}

func TestRunKeepsStdoutAndStderrApart(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("get",
		helmtest.Reply{Stdout: "out", Stderr: "level=WARN msg=careful\n"},
		helmtest.Reply{Stdout: "half", Stderr: "warning\nError: no luck\n", Exit: 3},
	)
	out, err := h.run(t.Context(), invocation{args: []string{"get"}})
	require.NoError(t, err)
	assert.Equal(t, "out", string(out))

	out, err = h.run(t.Context(), invocation{args: []string{"get", "--x=y", "--", "web"}})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "half", string(out))
	assert.Equal(t, []string{"get", "--x=y", "--", "web"}, e.Args)
	assert.Equal(t, 3, e.ExitCode)
	assert.Equal(t, "warning\nError: no luck\n", e.Stderr)
	assert.EqualError(t, err, "helm get web: no luck")
}

func TestErrorText(t *testing.T) {
	long := "Error: " + strings.Repeat("word ", 1000) + "at last"
	for _, test := range []struct {
		name, want string
		err        Error
	}{
		{"a reason over several lines", "helm install web: failed pre-install: 1 error occurred: * timed out",
			Error{Args: []string{"install", "--", "web"}, ExitCode: 1, Stderr: "Error: failed pre-install: 1 error occurred:\n\t* timed out\n\n"}},
		{"log lines before the reason", "helm install web: no luck",
			Error{Args: []string{"install", "--", "web"}, ExitCode: 1, Stderr: "level=ERROR msg=\"no luck\"\nError: no luck\n"}},
		{"nothing said", "helm list: exit status 7", Error{Args: []string{"list"}, ExitCode: 7}},
		{"a signal", "helm list: ended by signal: killed", Error{Args: []string{"list"}, ExitCode: -1, Signal: "killed"}},
		{"a cause", "helm list: context canceled: bye", Error{Args: []string{"list"}, ExitCode: -1, Signal: "terminated", Stderr: "bye", cause: context.Canceled}},
		{"a long reason keeps its ends", "helm list: " + strings.TrimSpace(strings.Repeat("word ", 60)) + "  … " + long[len(long)-300:],
			Error{Args: []string{"list"}, ExitCode: 1, Stderr: long}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, test.err.Error())
		})
	}
}

func TestRunCapsStderr(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("get", helmtest.Reply{Stderr: strings.Repeat("noise ", maxStderr/3) + "\nError: the end\n", Exit: 1})
	_, err := h.run(t.Context(), invocation{args: []string{"get"}})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Len(t, e.Stderr, maxStderr)
	assert.EqualError(t, err, "helm get: the end")
}

func TestOutputTooLarge(t *testing.T) {
	const mib = 1 << 20
	text := strings.Repeat("x", mib)
	for _, test := range []struct {
		name    string
		reply   helmtest.Reply
		mutates bool
		refused bool
	}{
		{"at the cap", helmtest.Reply{Stdout: text}, false, false},
		{"over the cap", helmtest.Reply{Stdout: text + "y", Term: &helmtest.Reply{}}, false, true},
		{"without end", helmtest.Reply{Stdout: text, Repeat: 1 << 30}, false, true},
		// A command that changes the cluster is not ended for its output.
		{"a change over the cap", helmtest.Reply{Stdout: text, Repeat: 2}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			h.maxStdout = mib
			fake.On("template", test.reply)
			out, err := h.run(t.Context(), invocation{args: []string{"template"}, mutates: test.mutates})
			assert.Equal(t, text, string(out))
			if !test.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrOutputTooLarge)
			assert.NotErrorIs(t, err, context.Canceled)
			assert.ErrorContains(t, err, "helm template printed more than 1 MiB")
			assert.False(t, IsTransient(err))
		})
	}
}

func TestRunReportsASignalDeath(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("get", helmtest.Reply{Stderr: "Error: half a", Signal: os.Kill})
	_, err := h.run(t.Context(), invocation{args: []string{"get"}})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, -1, e.ExitCode)
	assert.Equal(t, "killed", e.Signal)
	assert.True(t, IsTransient(err), "somebody else ended it")
}

func TestRunWithoutABinary(t *testing.T) {
	h, _ := withFake(t, Config{})
	h.binary += "-gone"
	_, err := h.run(t.Context(), invocation{args: []string{"version"}})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, -1, e.ExitCode)
	assert.ErrorContains(t, err, "no such file")
	assert.False(t, IsTransient(err))
}

func TestMaxProcesses(t *testing.T) {
	h, fake := withFake(t, Config{MaxProcesses: 2})
	end, both := make(chan struct{}), make(chan struct{}, 2)
	hang := helmtest.Reply{Then: func() { both <- struct{}{} }, Until: end}
	fake.On("get", hang, hang)
	results := make(chan error, 3)
	for range 2 {
		go func() {
			_, err := h.run(t.Context(), invocation{args: []string{"get"}})
			results <- err
		}()
	}
	<-both
	<-both

	fake.Handle("list", func(helmtest.Call) helmtest.Reply {
		select {
		case <-end:
		default:
			t.Error("a third process")
		}
		return helmtest.Reply{}
	})
	go func() {
		_, err := h.run(t.Context(), invocation{args: []string{"list"}})
		results <- err
	}()
	close(end)
	for range 3 {
		require.NoError(t, <-results)
	}
}

func TestWaitingForAProcessEndsWithTheContext(t *testing.T) {
	fake := helmtest.New(t)
	onceItWaits(t, func(ctx context.Context, t *testing.T) {
		h := drive(t, fake, Config{MaxProcesses: 2})
		for range 2 {
			release, err := h.acquire(ctx, false, 0)
			require.NoError(t, err)
			defer release()
		}
		_, err := h.run(ctx, invocation{args: []string{"list"}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "waiting for one of 2 helm processes to end")
	})
	assert.Empty(t, fake.Calls("list"))
}

func TestWaitingForAPlaceEndsWithTheContext(t *testing.T) {
	h, fake := withFake(t, Config{})
	for range placesToCompute() {
		defer h.home.Place(t.Context(), placesToCompute(), tooLong)()
	}
	why := errors.New("nobody needs it")
	ctx, cancel := context.WithCancelCause(t.Context())
	starts := func() { t.Error("it starts") }
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	_, err := h.run(ctx, invocation{args: []string{"template"}, computes: true, starts: starts})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, why)
	require.NotErrorAs(t, err, new(*Error), "no process was started")
	assert.Empty(t, fake.Calls())
}

func TestRunLogsOneLine(t *testing.T) {
	var log bytes.Buffer
	h, fake := withFake(t, Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	fake.On("pull", helmtest.Reply{Stderr: "Error: GET https://bob:hunter2@charts.example/x: hunter2 refused\n", Exit: 1})
	_, err := h.run(t.Context(), invocation{
		args:    []string{"pull", "--password=hunter2", "--", "https://bob:hunter2@charts.example/x.tgz"},
		secrets: []string{"hunter2"},
	})
	require.Error(t, err)
	_, err = h.run(t.Context(), invocation{args: []string{"version"}})
	require.NoError(t, err)

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	assert.Contains(t, lines[0], `"level":"WARN","msg":"helm","args":["pull","--password=***","--","https://***@charts.example/x.tgz"],"duration":`)
	assert.Contains(t, lines[0], `"exit":1,"error":"GET https://***@charts.example/x: *** refused"`)
	assert.Contains(t, lines[1], `"level":"INFO","msg":"helm","args":["version"]`)
	assert.Contains(t, lines[1], `"exit":0}`)
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("pull", helmtest.Reply{Stderr: "Error: https://bob:hunter2@host refused hunter2\n", Exit: 1})
	_, err := h.run(t.Context(), invocation{args: []string{"pull", "--", "https://bob:hunter2@host"}, secrets: []string{"hunter2"}})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.NotContains(t, e.Stderr+strings.Join(e.Args, " ")+err.Error(), "hunter2")
}

func TestRunDoesNotStartAfterTheContextEnded(t *testing.T) {
	h, fake := withFake(t, Config{})
	reason := errors.New("the queue is full")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	_, err := h.run(ctx, invocation{args: []string{"list"}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, reason)
	assert.Empty(t, fake.Calls())
}
