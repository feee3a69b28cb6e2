package helmtest

import "time"

// SetPatience says how long a play waits.
func (f *Fake) SetPatience(d time.Duration) { f.patience = d }
