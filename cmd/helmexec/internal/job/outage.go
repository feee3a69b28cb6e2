package job

import (
	"errors"
	"time"

	"github.com/sut-bench/helmexec"
)

// lookEvery is the time between two looks at a SUT that is getting ready.
const lookEvery = 5 * time.Second

// outage is for how long a cluster did not answer during a wait, as far as the looks at it say.
type outage struct {
	every       time.Duration // the time between two looks
	first, last time.Time     // of the looks that fail now; zero if the last one did not
	before      time.Duration // of those that are over
}

// see notes how a look ended.
func (o *outage) see(err error, now time.Time) {
	if away := errors.Is(err, helmexec.ErrClusterUnreachable) || helmexec.IsTransient(err); !away {
		o.before, o.first, o.last = o.until(now), time.Time{}, time.Time{}
		return
	}
	if o.first.IsZero() {
		o.first = now
	}
	o.last = now
}

// lasted is the whole of it when the wait is over, in seconds; 0 if every look had an answer. What follows the wait, such as a
// removal, is not part of it: the wait was over before another look was due.
func (o *outage) lasted(now time.Time) time.Duration {
	if next := o.last.Add(o.every); now.After(next) {
		now = next
	}
	whole := o.until(now)
	if whole == 0 {
		return 0
	}
	return max(whole.Round(time.Second), time.Second)
}

func (o *outage) until(now time.Time) time.Duration {
	if o.first.IsZero() {
		return o.before
	}
	return o.before + now.Sub(o.first)
}
