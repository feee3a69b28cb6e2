package helmexec

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func TestGetValues(t *testing.T) {
	for _, test := range []struct {
		name, output string
		want         Values
	}{
		{"numbers", `{"id":12345678901234567,"large":18446744073709551615,"small":-9223372036854775808,"share":0.5,"many":1e30,"list":[9007199254740993]}`,
			Values{"id": int64(12345678901234567), "large": uint64(18446744073709551615), "small": int64(-9223372036854775808), "share": 0.5, "many": 1e30, "list": []any{int64(9007199254740993)}}},
		{"tables", `{"a":{"b":"c","d":null},"e":true}`, Values{"a": map[string]any{"b": "c", "d": nil}, "e": true}},
		{"none", "null\n", Values{}},
		{"empty", "{}\n", Values{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.On("get values", helmtest.Reply{Stdout: test.output})
			got, err := h.GetValues(t.Context(), "web", ValuesOptions{})
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	for _, output := range []string{"", "[]", "{", "{} {}"} {
		h, fake := withFake(t, Config{})
		fake.On("get values", helmtest.Reply{Stdout: output})
		_, err := h.GetValues(t.Context(), "web", ValuesOptions{})
		require.ErrorContains(t, err, "helm get values: its output cannot be read", "%q", output)
	}
}

// Helm's history names no namespace, so it is the one that was asked for.
func TestHistoryNamespace(t *testing.T) {
	t.Setenv("HELM_NAMESPACE", "of-the-user")
	for _, test := range []struct {
		name string
		cfg  Config
		opts HistoryOptions
		want string
	}{
		{"nobody names one", Config{}, HistoryOptions{}, ""},
		{"the call", Config{Namespace: "a"}, HistoryOptions{Namespace: "b"}, "b"},
		{"the configuration", Config{Namespace: "a"}, HistoryOptions{}, "a"},
		{"the environment that helm is given", Config{Env: map[string]string{"HELM_NAMESPACE": "c"}}, HistoryOptions{}, "c"},
		{"the user's environment", Config{Home: UserHome}, HistoryOptions{}, "of-the-user"},
		{"both environments", Config{Home: UserHome, Env: map[string]string{"HELM_NAMESPACE": "c"}}, HistoryOptions{}, "c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			h, fake := withFake(t, test.cfg)
			fake.On("history", helmtest.Reply{Stdout: `[{"revision":1,"updated":"2024-01-01T00:00:00Z","status":"superseded","chart":"web-1.0.0"},{"revision":2,"status":"deployed","chart":"web-1.1.0"}]`})
			history, err := h.History(t.Context(), "web", test.opts)
			require.NoError(t, err)
			require.Len(t, history, 2)
			for i, release := range history {
				assert.Equal(t, "web", release.Name)
				assert.Equal(t, test.want, release.Namespace)
				assert.Equal(t, i+1, release.Revision)
			}
		})
	}
}

func TestParseRecordWithoutHooks(t *testing.T) {
	rec, err := parseRecord([]byte(`{"Name":"web","Hooks":[null,{"Name":"61","Events":"5b746573745d"},null]}`))
	require.NoError(t, err)
	require.Len(t, rec.Hooks, 1)
	assert.True(t, rec.hasHook("test"))
	assert.Equal(t, []Hook{{Name: "a", Events: []string{"test"}, DeletePolicies: []string{}, Manifest: Manifest{}}}, rec.hooks())
}

// Logs belong to the tests, whether they pass or fail. That there are none fails no test that passed.
func TestLogsOfTests(t *testing.T) {
	const said = "NAME: web\n\nPOD LOGS: smoke (main)\nall is well\n\nPOD LOGS: load\nslow\n\n"
	logs := map[string]map[string]string{"smoke": {"main": "all is well\n"}, "load": {"": "slow\n"}}
	for name, test := range map[string]struct {
		phase string
		reply helmtest.Reply
		want  error
		logs  map[string]map[string]string
	}{
		"passed":              {"Succeeded", helmtest.Reply{Stdout: said}, nil, logs},
		"failed":              {"Failed", helmtest.Reply{Stdout: said, Stderr: "Error: 1 error occurred:\n\t* job failed\n", Exit: 1}, ErrTestFailed, logs},
		"passed without logs": {"Succeeded", helmtest.Reply{Stdout: "NAME: web\n", Stderr: "Error: unable to get pod logs for smoke: pods \"smoke\" not found\n", Exit: 1}, nil, map[string]map[string]string{}},
		"failed without logs": {"Failed", helmtest.Reply{Stderr: "Error: unable to get pod smoke: pods \"smoke\" not found\n", Exit: 1}, ErrTestFailed, map[string]map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			h, fake := withFake(t, Config{})
			fake.SetRelease(helmtest.Release{Name: "web", Hooks: []helmtest.Hook{
				{Kind: "Pod", Name: "smoke", Phase: test.phase, Events: []string{"test"}},
				{Kind: "Pod", Name: "load", Phase: "Succeeded", Events: []string{"test"}},
				{Kind: "Job", Name: "init", Phase: "Succeeded", Events: []string{"pre-install"}},
			}})
			fake.On("test", test.reply)
			tests, err := h.Test(t.Context(), "web", TestOptions{Logs: true})
			require.ErrorIs(t, err, test.want)
			require.Len(t, tests, 2)
			for _, hook := range tests {
				assert.Equal(t, test.logs[hook.Name], hook.Logs, hook.Name)
			}
		})
	}
	// A failure that has nothing to do with logs stays one.
	h, fake := withFake(t, Config{})
	fake.SetRelease(helmtest.Release{Name: "web", Hooks: []helmtest.Hook{{Kind: "Pod", Name: "smoke", Phase: "Succeeded", Events: []string{"test"}}}})
	fake.On("test", helmtest.Reply{Stderr: "Error: something else\n", Exit: 1})
	_, err := h.Test(t.Context(), "web", TestOptions{Logs: true})
	require.ErrorContains(t, err, "something else")
}
