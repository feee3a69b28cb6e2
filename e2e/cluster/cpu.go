package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CPUTime is the processor time that some components have used, such as kube-apiserver and etcd. It is known on Linux only.
func (c *Cluster) CPUTime(components ...string) time.Duration {
	var groups []int
	for _, name := range components {
		if process := c.process(name); process != nil {
			groups = append(groups, process.Group())
		}
	}
	const tick = 10 * time.Millisecond // of /proc, on every Linux that Go runs on
	var total time.Duration
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		// Behind the name, which may have spaces: the state, the parent, the group, …
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 13 {
			continue
		}
		if group, _ := strconv.Atoi(fields[2]); !slices.Contains(groups, group) {
			continue
		}
		for _, field := range fields[11:13] {
			ticks, _ := strconv.ParseInt(field, 10, 64)
			total += time.Duration(ticks) * tick
		}
	}
	return total
}
