package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// others runs f and returns which share of the processors other programs had meanwhile: neither this program and its
// children, nor the cluster. Where both cores are busy, that decides how long f takes. It is 0 where the system does
// not say.
func others(c *cluster.Cluster, f func() error) (share float64, err error) {
	own := func() time.Duration {
		return cpu(syscall.RUSAGE_SELF) + cpu(syscall.RUSAGE_CHILDREN) + cpuOfGroups(c.Groups())
	}
	machine, mine, begin := cpuOfMachine(), own(), time.Now()
	err = f()
	more := cpuOfMachine() - machine - (own() - mine)
	return max(0, more.Seconds()) / time.Since(begin).Seconds() / float64(runtime.NumCPU()), err
}

// tick is the unit in which Linux shows the time of processors.
const tick = 10 * time.Millisecond

// cpuOfMachine is how long the processors were busy, or had been taken by another machine.
func cpuOfMachine() (busy time.Duration) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	figures := strings.Fields(line)
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user, nice, system, irq, softirq, steal; the others are idle
		if i < len(figures) {
			busy += ticks(figures[i])
		}
	}
	return busy
}

// cpuOfGroups is the time of the processes that live in some process groups.
func cpuOfGroups(groups []int) (busy time.Duration) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		_, rest, _ := strings.Cut(string(text), ") ") // after the name: state, parent, group …
		figures := strings.Fields(rest)
		if len(figures) < 13 {
			continue // it has ended
		}
		if group, err := strconv.Atoi(figures[2]); err == nil && slices.Contains(groups, group) {
			busy += ticks(figures[11]) + ticks(figures[12])
		}
	}
	return busy
}

func ticks(text string) time.Duration {
	n, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(n) * tick
}
