// Command guard runs another command and kills it when its own standard input ends:
//
//	guard [-again n] [-remove folder] command [argument...]
//
// Whoever starts it holds the other end of a pipe, which the kernel closes
// however that process ends, SIGKILL included. So a test that is killed leaves
// no process behind; and no folder, if it names the one to remove at the end.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	// The kernel's parent-death signal follows the thread that started the child.
	// This one is the main thread, and lives as long as the process.
	runtime.LockOSThread()

	folder := flag.String("remove", "", "folder to remove when the input has ended, and with it the command")
	again := flag.Int("again", 0, "how often to start the command again when it has failed")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: guard [-again n] [-remove folder] command [argument...]")
		os.Exit(2)
	}
	// The pipe is what ends a guard; a signal to the group must not orphan the command.
	// Caught and not ignored: an ignored signal would stay so in the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	code := run(flag.Args(), ended)
	for ; code != 0 && *again > 0 && !over(ended); *again-- {
		code = run(flag.Args(), ended)
	}
	if over(ended) && *folder != "" { // otherwise it ended by itself, and its log in the folder says why
		remove(*folder)
	}
	os.Exit(code)
}

func over(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// run runs a command, and kills it when the input has ended.
func run(args []string, ended <-chan struct{}) (code int) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = withParent()
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		return 1
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ended:
			_ = cmd.Process.Kill()
		case <-done:
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "guard:", err)
		return 1
	}
}

// remove tries again for a while: other commands may still be ending in there.
func remove(folder string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if os.RemoveAll(folder) == nil {
			return
		}
	}
}
