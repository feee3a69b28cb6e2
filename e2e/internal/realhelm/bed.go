// Package realhelm has what tests of real Helms without a cluster share.
package realhelm

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/sut-bench/helmexec"
)

// Bed is a test of one Helm.
type Bed struct {
	*testing.T
	Cfg helmexec.Config
}

// NewHelm makes a Helm on the same home, with a changed configuration.
func (b *Bed) NewHelm(change func(*helmexec.Config)) *helmexec.Helm {
	b.Helper()
	cfg := b.Cfg
	if change != nil {
		change(&cfg)
	}
	h, err := helmexec.New(cfg)
	b.Must(err)
	return h
}

// Must ends the test if there is an error.
func (b *Bed) Must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// CheckMemory checks the peak memory, in MiB, of this process and of any helm that has ended.
func CheckMemory(most int64) error {
	for name, who := range map[string]int{"this process": syscall.RUSAGE_SELF, "a helm": syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			return err
		}
		if mib := usage.Maxrss >> 10; mib > most {
			return fmt.Errorf("%s had %d MiB of memory", name, mib)
		} else if testing.Verbose() {
			fmt.Printf("peak memory of %s: %d MiB\n", name, mib)
		}
	}
	return nil
}
