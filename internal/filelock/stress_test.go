package filelock

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The processes of TestManyProcesses run this test binary; these variables say what to do.
const (
	folderVariable = "FILELOCK_TEST_FOLDER"
	doomedVariable = "FILELOCK_TEST_DOOMED" // set for a process that will be killed
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(folderVariable); dir != "" {
		os.Exit(contend(dir, os.Getenv(doomedVariable) != ""))
	}
	os.Exit(m.Run())
}

var names = []string{"a", "b", "c"}

// Goroutines of several processes take, release, check and sweep the same few locks, and some of the
// processes are killed at any moment. No two ever hold the same exclusive lock.
func TestManyProcesses(t *testing.T) {
	dir := t.TempDir()
	start := func(doomed string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), folderVariable+"="+dir, doomedVariable+"="+doomed)
		cmd.Stderr = os.Stderr
		return cmd
	}
	var all sync.WaitGroup
	var counted atomic.Int64
	quit := make(chan struct{})
	for range 3 {
		all.Add(1)
		go func() {
			defer all.Done()
			out, err := start("").Output()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			n, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			counted.Add(n)
		}()
	}
	var killer sync.WaitGroup
	killer.Add(1)
	go func() {
		defer killer.Done()
		for {
			cmd := start("yes")
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(rand.N(100 * time.Millisecond)) // any moment
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	all.Wait()
	close(quit)
	killer.Wait()

	var recorded int64
	for _, name := range names {
		l, err := Take(t.Context(), filepath.Join(dir, name+".lock"), Exclusive)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		recorded += int64(binary.NativeEndian.Uint64(text[8:]))
		l.Release()
	}
	if recorded != counted.Load() || recorded == 0 {
		t.Errorf("the locks counted %d holders, but there were %d", recorded, counted.Load())
	}
	Sweep(dir, 0)
	if left, _ := filepath.Glob(filepath.Join(dir, "*.lock")); len(left) > 0 {
		t.Errorf("left after the sweep: %q", left)
	}
}

// contend is one of the processes. It prints how often it had a lock alone.
func contend(dir string, doomed bool) int {
	var all sync.WaitGroup
	var alone, wrong atomic.Int64
	afterOpen = func(string) {
		if rand.IntN(8) == 0 {
			time.Sleep(rand.N(time.Millisecond)) // as on a loaded machine
		}
	}
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 400 {
				name := names[rand.IntN(len(names))]
				path := filepath.Join(dir, name+".lock")
				var err error
				switch n := rand.IntN(10); {
				case n < 6:
					err = whileHeld(path, Exclusive, func(record *os.File) error { return haveAlone(record, doomed) })
					alone.Add(1)
				case n < 8:
					err = whileHeld(path, Shared, haveShared)
				case n < 9:
					Sweep(dir, 0)
				default:
					if l, err := Try(path, Shared|Existing); err == nil {
						l.Release()
					}
				}
				if err != nil {
					fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
					wrong.Add(1)
				}
			}
		}()
	}
	all.Wait()
	fmt.Println(alone.Load())
	return int(min(wrong.Load(), 100))
}

func whileHeld(path string, mode Mode, do func(record *os.File) error) error {
	l, err := Take(context.Background(), path, mode)
	if err != nil {
		return err
	}
	defer l.Release()
	record, err := os.OpenFile(strings.TrimSuffix(path, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer record.Close()
	return do(record)
}

// haveAlone writes its id and the number of holders before it, and checks that nobody overwrites
// them.
func haveAlone(record *os.File, doomed bool) error {
	var was, is [16]byte
	_, _ = record.ReadAt(was[:], 0)
	binary.NativeEndian.PutUint64(was[:], rand.Uint64())
	if !doomed {
		binary.NativeEndian.PutUint64(was[8:], binary.NativeEndian.Uint64(was[8:])+1)
	}
	if _, err := record.WriteAt(was[:], 0); err != nil {
		return err
	}
	runtime.Gosched()
	if _, err := record.ReadAt(is[:], 0); err != nil || is != was {
		return fmt.Errorf("somebody else has the lock too: %v", err)
	}
	return nil
}

func haveShared(record *os.File) error {
	var was, is [16]byte
	_, _ = record.ReadAt(was[:], 0)
	runtime.Gosched()
	_, _ = record.ReadAt(is[:], 0)
	if is != was {
		return fmt.Errorf("somebody has the lock alone")
	}
	return nil
}
