// Package helmtest is a fake helm for the tests of programs that use helmexec: an executable that
// does in a test's memory what helm does in a cluster, prints what the test wants, and remembers
// its calls. It needs no helm, no cluster and no network beyond the loopback interface.
//
//	fake := helmtest.New(t)
//	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
//	…
//	fake.On("install", helmtest.Reply{Stderr: "Error: … connection refused\n", Exit: 1})
//	_, err = h.Install(ctx, "web", "./charts/web", helmexec.InstallOptions{})
//
// It renders charts that a test writes, not those of real life. Templates have .Release, .Chart, .Values, .Files.Get,
// .Capabilities.KubeVersion and .Capabilities.APIVersions.Has, the functions of Go's text/template, and of Helm's only:
//
//   - fail, quote and toJson,
//   - dig with two keys, for texts,
//   - lookup, which finds the namespace kube-system and nothing else.
//
// There is no include, no _helpers.tpl and no subchart. Objects with the annotation helm.sh/hook are hooks; the files in
// crds are CRDs. A chart can also just contain its manifest. Nothing becomes of the objects: they exist as
// long as their release is recorded. Tests pass, and charts are signed.
//
// It answers version, env, install, upgrade, rollback, uninstall, test, status, list, history, get all, get values, template,
// pull, verify, repo add, repo update and repo remove. Every other command, such as lint, push or registry login, fails
// until [Fake.On] or [Fake.Handle] answers it.
//
// # What goes wrong
//
// One call plays one failure, as helm and the cluster show it: what is recorded then, the words of a real Helm 3 or 4, what
// "status" shows. Each says in its comment what helmexec makes of it.
//
//		fake.NotReady(helmtest.Blocker{Reason: "ImagePullBackOff"})
//		_, err = h.Install(ctx, "web", "./charts/web", helmexec.InstallOptions{Wait: true}) // ErrNotReady, with the Blockers
//
//	  - of a release: [Fake.NotReady], [Fake.Hangs], [Fake.Recovers], [Fake.HookFails], [Fake.HookHangs], [Fake.TestFails], [Fake.LeavesBehind]
//	  - of the connection, of helm and of the runner: [Fake.Unreachable], [Fake.LoseAnswer], [Fake.KilledHalfWay], [Fake.KillRunner], [Fake.NotRecorded]
//	  - of the cluster: [Fake.NameTaken], [Fake.Busy], [Fake.NamespaceMissing], [Fake.Refuses], [Fake.AnotherCluster]
//	  - of a source of charts: [Fake.Unauthorized], [Fake.ChartMissing], [Fake.SourceDown], [Fake.Unverified]
//
// They wait for their call, one after the other; a test fails if one waits in vain. [Fake.Steps] lists what was started. What
// there is from the beginning is set: [Fake.SetRelease], [Fake.SetNodes], [Fake.SetTestLog], [Fake.AddChart], [Fake.Keyring].
// docs/testing.md of the source has examples. For everything else there are [Fake.On], which prints, and [Fake.Handle].
// On("install") and Handle("install") leave the dry run of helmexec's Plan alone: its command is "dry-run install".
//
// The executable is the test's own binary under another name: it must import this package, and
// a program that is not a test should not.
package helmtest

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Fake is a fake helm, with the releases, repositories and replies of one test.
type Fake struct {
	// Binary is the path of the executable; its folder can be put on PATH as well.
	Binary string

	t        testing.TB
	mu       sync.Mutex
	version  string
	calls    []Call
	acts     []*act
	handlers []handler
	patience time.Duration
	running  int
	lingers  chan struct{}
	store    store
}

type handler struct {
	command string
	answer  func(Call) (Reply, bool)
}

// Reply is what one run of the executable does, in the order of the fields.
type Reply struct {
	// Files are written first. In their names ${--flag} is the value of a flag, ${NAME} of the
	// environment, ${0} an argument.
	Files map[string][]byte
	// Stdout is printed 1+Repeat times.
	Stdout string
	Repeat int
	Stderr string
	// Memory is how many bytes of memory it then takes, and keeps.
	Memory int64
	// Spin is how long it keeps a processor busy.
	Spin time.Duration
	// Linger starts a child process that keeps stdout and stderr open, and that a SIGTERM does
	// not end.
	Linger bool
	// Then is called, in the test, after all this.
	Then func() `json:"-"`
	// The process stays until it is closed. Forever is never closed.
	Until <-chan struct{} `json:"-"`
	// Term is what the process does at SIGTERM or SIGINT, if they come before its end; nil means
	// that they end it.
	Term *Reply `json:"-"`
	// Signal, if not nil, is sent by the process to itself at the end.
	Signal os.Signal `json:"-"`
	// Exit is the exit code.
	Exit int

	play string // whose reply it is
}

// patience is how long a play waits. A test in which nothing ends the wait would say only that it took too long.
const patience = 2 * time.Minute

// Forever is never closed.
var Forever <-chan struct{} = make(chan struct{})

// New makes a fake helm. It and its processes end with the test. At first it has no release and no
// repository, and its version is v4.3.1.
func New(t testing.TB) *Fake {
	t.Helper()
	dir := t.TempDir()
	f := &Fake{Binary: filepath.Join(dir, "helm"), t: t, version: "v4.3.1", patience: patience, lingers: make(chan struct{}, 1)}
	if runtime.GOOS == "windows" {
		f.Binary += ".exe"
	}
	self, err := os.Executable()
	if err == nil {
		err = linkOrCopy(self, f.Binary)
	}
	if err != nil {
		t.Fatalf("helmtest: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, addressFile), []byte(listener.Addr().String()), 0o600)
	}
	if err != nil {
		t.Fatalf("helmtest: %v", err)
	}
	ended := make(chan struct{})
	var serving sync.WaitGroup
	t.Cleanup(func() {
		close(ended)
		listener.Close()
		serving.Wait()
		f.checkActs()
	})
	serving.Add(1)
	go func() {
		defer serving.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Add(1)
			go func() {
				defer serving.Done()
				f.serve(conn, ended)
			}()
		}
	}()
	return f
}

func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// SetVersion sets the version of the fake, which is another binary then. It decides between the messages of Helm 3 and 4.
func (f *Fake) SetVersion(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = version
	now := time.Now()
	_ = os.Chtimes(f.Binary, now, now) // helmexec remembers the version of a binary that has not changed
}

func (f *Fake) helmVersion() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

// On gives the next calls of a command ("install", "repo add", "get") these replies, one each.
// Later calls are answered as if On had not been called.
func (f *Fake) On(command string, replies ...Reply) {
	f.handle(command, func(Call) (Reply, bool) {
		if len(replies) == 0 {
			return Reply{}, false
		}
		next := replies[0]
		replies = replies[1:]
		return next, true
	})
}

// Handle lets the test answer every call of a command from now on. It may be called for several
// processes at once.
func (f *Fake) Handle(command string, answer func(Call) Reply) {
	f.handle(command, func(c Call) (Reply, bool) {
		f.mu.Unlock()
		defer f.mu.Lock()
		return answer(c), true
	})
}

func (f *Fake) handle(command string, answer func(Call) (Reply, bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers = append([]handler{{command, answer}}, f.handlers...)
}

// Calls are the runs so far of the given commands, or all runs, in the order in which they began.
func (f *Fake) Calls(commands ...string) []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	var calls []Call
	for _, c := range f.calls {
		matches := len(commands) == 0
		for _, command := range commands {
			matches = matches || c.is(command)
		}
		if matches {
			calls = append(calls, c)
		}
	}
	return calls
}

// Commands are the commands of all runs so far, without "version".
func (f *Fake) Commands() []string {
	var commands []string
	for _, c := range f.Calls() {
		if command := c.Command(); command != "version" {
			commands = append(commands, command)
		}
	}
	return commands
}

// Running is how many processes of the executable live, with the children that linger.
func (f *Fake) Running() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// Perform does what a call asks for, on the releases and repositories of the fake, and returns
// helm's answer. It answers every call that has no other reply.
func (f *Fake) Perform(c Call) Reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.perform(c)
}

func (f *Fake) answer(c Call) Reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	if a := f.next(c); a != nil {
		f.mu.Unlock()
		defer f.mu.Lock()
		reply := a.answer(c)
		reply.play = a.name
		return reply
	}
	for _, h := range f.handlers {
		if c.is(h.command) {
			if reply, ok := h.answer(c); ok {
				return reply
			}
		}
	}
	return f.perform(c)
}

// serve talks to one process as long as it lives: the process says how it was called, gets its
// orders, and reports when they are done or when it got a signal.
func (f *Fake) serve(conn net.Conn, ended <-chan struct{}) {
	defer conn.Close()
	said, tell := json.NewDecoder(conn), json.NewEncoder(conn)
	var c Call
	if said.Decode(&c) != nil {
		return
	}
	f.count(+1)
	defer f.count(-1)
	var reply Reply
	if len(c.Args) == 1 && c.Args[0] == lingering {
		reply = Reply{Then: func() { f.lingers <- struct{}{} }, Until: Forever, Term: &Reply{Until: Forever}}
	} else {
		reply = f.answer(c)
	}
	news := make(chan string)
	go func() {
		defer close(news)
		for {
			var what string
			if said.Decode(&what) != nil {
				return
			}
			select {
			case news <- what:
			case <-ended:
				return
			}
		}
	}()
	for {
		_ = tell.Encode(order{Reply: reply, HandlesTerm: reply.Term != nil, Signal: signalNumber(reply.Signal)})
		if <-news != saidDone {
			return
		}
		if reply.Linger {
			<-f.lingers
		}
		if reply.Then != nil {
			reply.Then()
		}
		if reply.Until != nil {
			var stuck <-chan time.Time
			if reply.play != "" {
				stuck = time.After(f.patience)
			}
			select {
			case <-reply.Until:
			case <-stuck:
				f.t.Errorf("helmtest: %s has waited for %v, and nothing ended it: no rule of FailFast that fits, no context that ends; Recovers ends only for calls that look, by Progress or FailFast",
					reply.play, f.patience)
			case <-ended:
				return
			case what := <-news:
				if what != saidTerm {
					return
				}
				reply = *reply.Term
				continue
			}
		}
		_ = tell.Encode(order{End: true})
		for range news {
		}
		return
	}
}

func (f *Fake) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running += n
}
