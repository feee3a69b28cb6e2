package fleet

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sut-bench/helmexec/e2e/internal/guarded"
)

// Worker is a worker process on a host of its own: its home is its own.
type Worker struct {
	lab     *Lab
	name    string
	helm    string // path
	address string // of Temporal

	process *guarded.Process
}

// AddWorker starts a worker. Empty arguments are those of the lab.
func (l *Lab) AddWorker(name, helm, address string) (*Worker, error) {
	w := &Worker{lab: l, name: name, helm: helm, address: address}
	if helm == "" {
		w.helm = l.Helm
	}
	if address == "" {
		w.address = l.Address()
	}
	l.workers = append(l.workers, w)
	return w, w.Start()
}

// Name is the name of its home.
func (w *Worker) Name() string { return w.name }

// Start starts it again, on the same home.
func (w *Worker) Start() (err error) {
	w.process, err = guarded.Start(guarded.Server{
		Name: "worker " + w.name, Dir: w.lab.Dir, Log: w.log(),
		Command: []string{w.lab.Fleet, "-server", w.address, "worker", "-name", w.name, "-home", w.lab.file("home-" + w.name), "-helm", w.helm,
			"-kubeconfig", w.lab.Cluster.Kubeconfig, "-plans", w.lab.file("plans"), "-grace", grace, "-parallel", "6", "-sweep", "1m"},
	})
	return err
}

func (w *Worker) log() string { return w.lab.file("worker-" + w.name + ".log") }

// Runs reports whether it has been started, and not killed since.
func (w *Worker) Runs() bool { return w.process != nil }

// PID is its process id, 0 if it does not run.
func (w *Worker) PID() int {
	if w.process != nil {
		if children := childrenOf(w.process.Group()); len(children) == 1 {
			return children[0]
		}
	}
	return 0
}

// Helms are its helms that change a release, by their process ids.
func (w *Worker) Helms() (changing []int) {
	for _, pid := range childrenOf(w.PID()) {
		if slices.ContainsFunc([]string{"install", "uninstall"}, func(word string) bool { return slices.Contains(argsOf(pid), word) }) &&
			!slices.ContainsFunc(argsOf(pid), func(arg string) bool { return strings.HasPrefix(arg, "--dry-run") }) {
			changing = append(changing, pid)
		}
	}
	return changing
}

// Kill kills it by SIGKILL, with all its helms, or so that they live on alone.
func (w *Worker) Kill(withHelms bool) {
	if w.process == nil {
		return
	}
	pid := w.PID()
	if pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it starts no other helm meanwhile
		if withHelms {
			for _, helm := range childrenOf(pid) {
				_ = syscall.Kill(helm, syscall.SIGKILL)
			}
		}
	}
	w.process.Stop()
	w.process = nil
}

// Signal sends a signal to it, and to its helms.
func (w *Worker) Signal(signal syscall.Signal) error {
	pid := w.PID()
	if pid == 0 {
		return fmt.Errorf("worker %s does not run", w.name)
	}
	for _, p := range append(childrenOf(pid), pid) {
		if err := syscall.Kill(p, signal); err != nil {
			return err
		}
	}
	return nil
}

// childrenOf are the processes that a process has started.
func childrenOf(pid int) (children []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

func argsOf(pid int) (args []string) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	for _, arg := range bytes.Split(text, []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}
