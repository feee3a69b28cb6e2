package helmtest

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// addressFile is beside the executable and says where its test listens.
const addressFile = ".helmtest"

const (
	lingering = "helmtest-linger" // the argument of a child that lingers
	saidDone  = "done"
	saidTerm  = "term"
)

// order is what a process must do.
type order struct {
	Reply
	Signal      int
	HandlesTerm bool
	End         bool // leave, as the order before said
}

// A test binary that runs under the name that New gave it is a helm, and never runs its tests.
func init() {
	self, err := os.Executable()
	if err != nil {
		return
	}
	address, err := os.ReadFile(filepath.Join(filepath.Dir(self), addressFile))
	if err != nil {
		return
	}
	// Not os.Exit, which takes a second with the race detector.
	syscall.Exit(play(string(address)))
}

// lostTest is the exit code of a process whose test is gone.
const lostTest = 99

// play is the life of one process.
func play(address string) int {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return lostTest
	}
	hear, say := json.NewDecoder(conn), json.NewEncoder(conn)
	c := callOfThisProcess()
	if say.Encode(c) != nil {
		return lostTest
	}
	orders := make(chan order)
	go func() {
		defer close(orders)
		for {
			var o order
			if hear.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	terms := make(chan os.Signal, 1)
	var last order
	for {
		select {
		case o, ok := <-orders:
			switch {
			case !ok:
				return lostTest
			case o.End:
				return last.leave()
			}
			last = o
			if o.HandlesTerm {
				signal.Notify(terms, syscall.SIGTERM, os.Interrupt)
			}
			o.act(c)
			_ = say.Encode(saidDone)
		case <-terms:
			if last.HandlesTerm {
				_ = say.Encode(saidTerm)
			}
		}
	}
}

func callOfThisProcess() Call {
	c := Call{Args: os.Args[1:], Env: map[string]string{}, Pid: os.Getpid()}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		c.Env[k] = v
	}
	c.Dir, _ = os.Getwd()
	if len(c.Args) != 1 || c.Args[0] != lingering {
		stdin, _ := io.ReadAll(os.Stdin)
		c.Stdin = string(stdin)
	}
	return c
}

func (o order) act(c Call) {
	for name, content := range o.Files {
		path := os.Expand(name, func(key string) string {
			if strings.HasPrefix(key, "--") {
				return c.Flag(key)
			}
			if i, err := strconv.Atoi(key); err == nil {
				return c.Arg(i)
			}
			return c.Env[key]
		})
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			_, _ = os.Stderr.WriteString("helmtest: " + err.Error() + "\n")
		}
	}
	for range 1 + o.Repeat {
		if _, err := os.Stdout.WriteString(o.Stdout); err != nil {
			break
		}
	}
	_, _ = os.Stderr.WriteString(o.Stderr)
	for taken := int64(0); taken < o.Memory; taken += 1 << 20 {
		piece := make([]byte, 1<<20)
		for i := 0; i < len(piece); i += 4096 {
			piece[i] = 1 // a page that nobody touched is not in memory
		}
		kept = append(kept, piece)
	}
	for began := time.Now(); time.Since(began) < o.Spin; {
	}
	if o.Linger {
		self, _ := os.Executable()
		child := exec.Command(self, lingering)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		_ = child.Start()
	}
}

// kept is the memory that the process has taken.
var kept [][]byte

func (o order) leave() int {
	if o.Signal != 0 {
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(syscall.Signal(o.Signal))
		}
		time.Sleep(time.Minute) // it arrives sooner
	}
	return o.Exit
}

func signalNumber(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return 0
}
