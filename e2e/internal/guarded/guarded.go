// Package guarded runs servers for tests that never outlive the program that
// started them, however it ends.
package guarded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec/internal/tools"
)

// Server says what to run.
type Server struct {
	Name    string   // for messages
	Command []string // program and arguments
	Dir     string   // working and home folder
	Log     string   // file that gets what it prints; appended to
	Again   int      // how often to start it again when it has failed
	Remove  string   // folder to remove after Stop or the end of this program, or ""
}

// Process is a running server and the guard around it.
type Process struct {
	server Server
	cmd    *exec.Cmd
	hold   *os.File // the guard ends the server when this is closed
	done   chan struct{}
	err    error // valid when done is closed
}

// Start starts a server. It lives until Stop, or until this program ends.
func Start(server Server) (*Process, error) {
	guard, err := tools.Path("guard")
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(server.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	stdin, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()

	args := []string{"-again", strconv.Itoa(server.Again)}
	if server.Remove != "" {
		args = append(args, "-remove", server.Remove)
	}
	cmd := exec.Command(guard, append(args, server.Command...)...)
	cmd.Dir = server.Dir
	// No proxy, kubeconfig or cloud account of the user may leak in.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + server.Dir}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, log, log
	// A separate group: this program handles Ctrl-C in a terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		hold.Close()
		return nil, fmt.Errorf("start %s: %w", server.Name, err)
	}
	p := &Process{server: server, cmd: cmd, hold: hold, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Stop ends the server at once and waits until it is gone.
func (p *Process) Stop() {
	p.hold.Close()
	<-p.done
}

// Group is the process group of the server and its guard.
func (p *Process) Group() int { return p.cmd.Process.Pid }

// ErrPortTaken: somebody else got a port between its choice and its use.
var ErrPortTaken = errors.New("port taken")

// FreePort finds a port on loopback that nobody listens on now. It is below the
// range from which systems take the ports of outgoing connections, so that a
// server can be stopped for a while and find its port free.
func FreePort() (int, error) {
	var last error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if last = free(port); last == nil {
			return port, nil
		}
	}
	return 0, last
}

// IsFree reports whether nobody listens on a port on loopback now.
func IsFree(port int) bool { return free(port) == nil }

func free(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	return listener.Close()
}

// Await polls until ready returns nil. It gives up when ctx or the server ends,
// and then its error shows the end of the server's log, and is ErrPortTaken if
// that says so.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.done:
			cancel(fmt.Errorf("it ended: %v", p.err))
		case <-ctx.Done():
		}
	}()
	if err := Poll(ctx, ready); err != nil {
		log := p.LogTail()
		if strings.Contains(log, "address already in use") {
			err = errors.Join(ErrPortTaken, err)
		}
		return fmt.Errorf("%s is not ready: %w\n%s", p.server.Name, err, log)
	}
	return nil
}

// LogTail returns the last lines that the server printed.
func (p *Process) LogTail() string {
	text, err := os.ReadFile(p.server.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// Poll calls done every 20 ms until it returns nil, or until ctx ends: then the
// error has the cause of that and what done said last.
func Poll(ctx context.Context, done func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		// A call cut by ctx says nothing; the one before it may.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}
