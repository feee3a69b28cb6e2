// Package growth tests that reading a text from outside takes memory and time in proportion to its size,
// whatever the text. It is only for tests, and has shapes of texts that are hard to read.
package growth

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// For each shape of text the tests double the size three times. They compare allocated bytes, which do not
// depend on the load of the machine. The race detector makes this slow and empties memory pools at random:
// under it each reader gets a dozen different shapes, in shorter texts.
//
// Time that grows without memory shows only in larger texts:
//
//	HELMEXEC_GROWTH=16384 go test -timeout=1h -run Growth ./...
//
// uses texts from that size on and compares the times as well, which takes some minutes. On Linux a busy
// machine hardly changes them.
const (
	doublings    = 3
	maxGrowth    = 2.3     // of memory, when a text doubles
	growthSlack  = 1 << 20 // bytes that do not count
	raceSlack    = 8 << 20 // more of them under the race detector
	slackPerByte = 16      // the same, for one byte of a larger text: buffers grow in steps
	maxPerByte   = 6000    // bytes of memory for one of text; rewriting tiny documents takes the most
	maxSlowdown  = 3.0     // of the time for one byte, from the smallest text to the largest
	raceShapes   = 12
)

// Reader is a function that reads text from outside.
type Reader struct {
	Name string
	Read func(text string)
}

// raceDetector reports whether the tests were built with the race detector.
var raceDetector = sync.OnceValue(func() bool {
	build, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
})

// Check reads texts of a shape that double in size.
func Check(t *testing.T, readers []Reader, shapes []Shape) {
	size, step, timed := 2<<10, 1, false
	if raceDetector() {
		size, step = 1<<10, max(1, len(shapes)/raceShapes)
	}
	if wanted, err := strconv.Atoi(os.Getenv("HELMEXEC_GROWTH")); err == nil {
		size, timed = wanted, true
	}
	for n, shape := range shapes {
		var texts []string
		for i := range doublings + 1 {
			texts = append(texts, shape.Make(size<<i))
		}
		for i, reader := range readers {
			if (n+i)%step == 0 {
				checkReader(t, reader, shape.Name, texts, timed)
			}
		}
	}
}

// allowed is the memory that a text of a size may take. half is what a text of half the size took; 0 if there
// was none.
func allowed(size int, half float64) float64 {
	slack := max(growthSlack, slackPerByte*float64(size))
	limit := maxPerByte*float64(size) + slack
	if raceDetector() {
		slack, limit = slack+raceSlack, math.Inf(1)
	}
	if half > 0 {
		limit = min(limit, maxGrowth*half+slack)
	}
	return limit
}

func checkReader(t *testing.T, reader Reader, shape string, texts []string, timed bool) {
	memory, times := make([]float64, len(texts)), make([]float64, len(texts))
	for i, text := range texts {
		allowed := allowed(len(text), memory[max(0, i-1)])
		// An empty pool and the garbage collector take memory and time too: the best of three counts.
		for try := range 3 {
			allocated, took := measure(func() { reader.Read(text) })
			if try == 0 || allocated < memory[i] {
				memory[i] = allocated
			}
			if try == 0 || took < times[i] {
				times[i] = took
			}
			if memory[i] <= allowed && !timed {
				break
			}
		}
		assert.LessOrEqual(t, memory[i], allowed, "%s of %s: memory %.0f for %d bytes of text", reader.Name, shape, memory, len(text))
	}
	if testing.Verbose() {
		t.Logf("%s of %s: %.0f bytes, %.6f s", reader.Name, shape, memory, times)
	}
	if last := len(texts) - 1; timed {
		larger := float64(len(texts[last])) / float64(len(texts[0]))
		assert.LessOrEqual(t, times[last], maxSlowdown*larger*times[0]+0.002, "%s of %s: %.6f s", reader.Name, shape, times)
	}
}

// measure returns the bytes that a function allocates, and the processor seconds that it takes.
func measure(f func()) (allocated, took float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime()
	f()
	took = (cpuTime() - start).Seconds()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc), took
}
