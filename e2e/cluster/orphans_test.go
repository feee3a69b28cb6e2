package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// parentVariable makes the test binary a program that starts a cluster, tells
// about it on stdout, and hangs.
const parentVariable = "HELMEXEC_E2E_PARENT"

type started struct {
	Dir    string
	Groups []int
}

func parent() {
	c, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(started{c.Dir, c.Groups()}); err != nil {
		os.Exit(1)
	}
	select {}
}

func TestNoOrphans(t *testing.T) {
	ctx := testContext(t)
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc to look for processes in")
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), parentVariable+"=1")
			cmd.Stderr = os.Stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var child started
			decodeErr := json.NewDecoder(stdout).Decode(&child)
			if decodeErr == nil && len(members(t, child.Groups)) < 10 {
				t.Errorf("a cluster is five components and their guards, found %v", members(t, child.Groups))
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the signal did not end the parent")
			}
			if decodeErr != nil {
				t.Fatal(decodeErr)
			}
			awaitGone(ctx, t, child.Groups)
			err = Eventually(ctx, func(context.Context) error {
				if _, err := os.Stat(child.Dir); err == nil {
					return errors.New(child.Dir + " is still there")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGuardKilled(t *testing.T) {
	ctx := testContext(t)
	c, err := Start(ctx, Options{Nodes: []Node{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	groups := c.Groups()
	for _, group := range groups {
		if err := syscall.Kill(group, syscall.SIGKILL); err != nil { // the guard leads its group
			t.Fatal(err)
		}
	}
	awaitGone(ctx, t, groups)
}

func awaitGone(ctx context.Context, t *testing.T, groups []int) {
	t.Helper()
	err := Eventually(ctx, func(context.Context) error {
		if left := members(t, groups); len(left) > 0 {
			return fmt.Errorf("still alive: %v", left)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// members returns the processes of the given groups that are alive.
func members(t *testing.T, groups []int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		// "pid (name) state parent group …"; the name may contain anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		group, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		if fields[0] != "Z" && slices.Contains(groups, group) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}
