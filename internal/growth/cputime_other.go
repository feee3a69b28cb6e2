//go:build !linux

package growth

import "time"

var started = time.Now()

// cpuTime is the elapsed time, which is longer on a busy machine.
func cpuTime() time.Duration { return time.Since(started) }
