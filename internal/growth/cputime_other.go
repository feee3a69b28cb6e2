//go:build !linux

package growth

import "time"

var started = time.Now()

// cpuTime is the time that went by, which a busy machine makes longer.
func cpuTime() time.Duration { return time.Since(started) }
