//go:build unix

package helmexec

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// errFailed stands for any error.
var errFailed = errors.New("any error")

// hostileHelms are programs that are called helm. Each is a shell script, and does this when it lists releases.
var hostileHelms = []struct {
	name, script string
	want         error // nil if the list is good
	stops        bool  // it ends only because the context does
}{
	{name: "an honest one", script: `echo '[]'`},
	{name: "floods stdout", script: `exec yes`, want: ErrOutputTooLarge},
	{name: "floods stdout with zeros", script: `exec cat /dev/zero`, want: ErrOutputTooLarge},
	{name: "floods stderr and fails", script: `head -c 9000000 /dev/zero >&2; exit 1`, want: errFailed},
	{name: "floods stderr with lines and fails", script: `yes 'Error: no' | head -c 9000000 >&2; exit 1`, want: errFailed},
	{name: "floods both, deaf to signals", script: `trap '' TERM INT HUP; yes >&2 & exec yes`, want: ErrOutputTooLarge},
	{name: "floods by a child", script: `yes & wait`, want: ErrOutputTooLarge},
	{name: "is deaf to signals", script: `trap '' TERM INT HUP; ready; while :; do sleep 1; done`, want: context.Canceled, stops: true},
	{name: "has children that are deaf", script: `(trap '' TERM INT HUP; while :; do sleep 1; done) & ready; wait`, want: context.Canceled, stops: true},
	{name: "closes its outputs and stays", script: `ready; exec sleep 1000 >&- 2>&-`, want: context.Canceled, stops: true},
	{name: "stops itself", script: `ready; kill -STOP $$`, want: context.Canceled, stops: true},
	{name: "leaves a child behind", script: `echo '[]'; sleep 1000 & exit 0`, want: exec.ErrWaitDelay},
	{name: "leaves a deaf child behind", script: `echo '[]'; (trap '' TERM; sleep 1000) & exit 0`, want: exec.ErrWaitDelay},
	{name: "leaves a child behind and fails", script: `sleep 1000 & echo 'Error: no' >&2; exit 1`, want: errFailed},
	{name: "kills itself", script: `kill -KILL $$`, want: errFailed},
	{name: "ends by a signal of the terminal", script: `kill -HUP $$`, want: errFailed},
	{name: "exits by a number of its own", script: `exit 255`, want: errFailed},
	{name: "says nothing", script: `exit 0`, want: errFailed},
	{name: "prints no JSON", script: `echo hello`, want: errFailed},
	{name: "prints half of it", script: `echo '[{"name":"a'`, want: errFailed},
	{name: "prints other JSON", script: `echo '{"name":"a"}'`, want: errFailed},
	{name: "prints JSON of other types", script: `echo '[{"name":{"a":[1]},"revision":[]}]'`, want: errFailed},
	{name: "prints deep JSON", script: `yes '[' | head -n 200000 | tr -d '\n'`, want: errFailed},
	{name: "prints huge numbers", script: `echo '[{"name":"a","revision":"99999999999999999999999999"}]'`, want: errFailed},
	{name: "prints what is no text", script: `printf '\377\376\000[]'`, want: errFailed},
	{name: "fails with terminal sequences", script: `printf 'Error: \033[2J\033]0;owned\007\033]8;;http://evil\007 \342\200\256 \302\233 \r gone\b\n' >&2; exit 1`, want: errFailed},
	{name: "fails with what is no text", script: `printf 'Error: \377\376\000 \303\050\n' >&2; exit 1`, want: errFailed},
	{name: "fails with very many lines", script: `i=0; while [ $i -lt 2000 ]; do echo "Error: $i"; i=$((i+1)); done >&2; exit 1`, want: errFailed},
	{name: "reads what it is not given", script: `cat; cat <&3 2>/dev/null; echo '[]'`},
}

// Whatever helm is, a call ends, says so in a short printable error, and leaves no process behind.
func TestHostileHelms(t *testing.T) {
	for _, test := range hostileHelms {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			group, ready := filepath.Join(dir, "group"), filepath.Join(dir, "ready")
			require.NoError(t, syscall.Mkfifo(ready, 0o600))
			script := "#!/bin/sh\ncase $1 in version) echo v4.3.1; exit;; esac\necho $$ > " + group + "\nready() { echo > " + ready + "; }\n" + test.script + "\n"
			binary := filepath.Join(dir, "helm")
			require.NoError(t, os.WriteFile(binary, []byte(script), 0o700))
			h, err := New(Config{Binary: binary, Home: filepath.Join(dir, "home"), GracePeriod: 50 * time.Millisecond, Retry: Retry{Tries: 1}})
			require.NoError(t, err)
			h.maxStdout = 1 << 20
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.stops {
				go func() {
					_, _ = os.ReadFile(ready) // which waits until it is written to
					cancel()
				}()
			}
			answers(t, func() { _, err = h.List(ctx, ListOptions{}) })
			switch {
			case test.want == nil:
				require.NoError(t, err)
			case test.want == errFailed:
				require.Error(t, err)
			default:
				require.ErrorIs(t, err, test.want)
			}
			if err != nil {
				assert.Less(t, len(err.Error()), 2048)
				assert.False(t, strings.ContainsFunc(err.Error(), func(r rune) bool {
					return r == unicode.ReplacementChar || r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
				}), "%q", err)
			}
			if e := (*Error)(nil); errors.As(err, &e) {
				assert.LessOrEqual(t, len(e.Stderr), 4*maxStderr, "escapes take up to four bytes")
			}
			text, err := os.ReadFile(group)
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }, tooLong, 5*time.Millisecond, "%s goes on", group)
		})
	}
}

// A helm is not one by its version.
func TestHostileVersions(t *testing.T) {
	for name, script := range map[string]string{
		"nothing": ``, "a page": `echo '<html>'`, "terminal sequences": `printf 'v\033[2J4.3.1\n'`, "a huge number": `echo v99999999999999999999.1.0`, "a number below zero": `echo v-4.3.1`,
		"what is no text": `printf 'v4\377.3.1'`, "a flood": `exec yes`, "zeros": `exec cat /dev/zero`, "a signal": `kill -KILL $$`, "a number of its own": `exit 3`,
		"a very long one": `printf v4.3.1-; head -c 100000 /dev/zero | tr '\0' '!'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			binary := filepath.Join(dir, "helm")
			require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
			h, err := New(Config{Binary: binary, Home: filepath.Join(dir, "home"), GracePeriod: 50 * time.Millisecond})
			require.NoError(t, err)
			h.maxStdout = 1 << 20
			answers(t, func() { _, err = h.Version(t.Context()) })
			require.Error(t, err)
			assert.Less(t, len(err.Error()), 2048)
			assert.NotContains(t, err.Error(), "\x1b")
		})
	}
}
