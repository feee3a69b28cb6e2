package helmtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// The SUT of a job never gets ready: the runner says why, and nothing is left.
func ExampleFake_NotReady() {
	t := &inExample{} // in a test, its *testing.T
	defer t.end()
	fake := helmtest.New(t)
	fake.NotReady(helmtest.Blocker{Pod: "web-1", Reason: "ImagePullBackOff", Message: "not found"})

	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = h.Install(context.Background(), "web", chartFolder(t), helmexec.InstallOptions{Wait: true})
	var failed *helmexec.ReleaseError
	if errors.Is(err, helmexec.ErrNotReady) && errors.As(err, &failed) {
		fmt.Println(failed.Blockers)
	}
	_, there := fake.Release("", "web")
	fmt.Println("still there:", there)
	fmt.Println(fake.Steps())
	// Output:
	// Pod web-1, container main: ImagePullBackOff: not found (Failed: Failed to pull image "registry.example/main:1": not found)
	// still there: false
	// [install web uninstall web]
}

// An image cannot be pulled: the wait ends long before its time. A slow registry is another matter.
func ExampleFake_Recovers() {
	t := &inExample{} // in a test, its *testing.T
	defer t.end()
	fake := helmtest.New(t)
	fake.Hangs(helmtest.Blocker{Reason: "ImagePullBackOff"})
	fake.Recovers(2, helmtest.Blocker{Reason: "ImagePullBackOff", FailedPulls: 1})

	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		_, err = h.Install(context.Background(), "web", chartFolder(t), helmexec.InstallOptions{
			Wait: true, Timeout: time.Hour, FailFast: helmexec.FailFastRules(), ProgressInterval: 10 * time.Millisecond,
		})
		fmt.Println("not ready:", errors.Is(err, helmexec.ErrNotReady))
	}
	// Output:
	// not ready: true
	// not ready: false
}

// The pod of a test has a log, also if it fails.
func ExampleFake_SetTestLog() {
	t := &inExample{} // in a test, its *testing.T
	defer t.end()
	fake := helmtest.New(t)
	fake.SetRelease(helmtest.Release{Name: "web", Hooks: []helmtest.Hook{{Kind: "Pod", Name: "smoke", Events: []string{"test"}}}})
	fake.SetTestLog("smoke", "no answer on port 80\n")
	fake.TestFails()

	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir()})
	if err != nil {
		fmt.Println(err)
		return
	}
	tests, err := h.Test(context.Background(), "web", helmexec.TestOptions{Logs: true})
	fmt.Println("failed:", errors.Is(err, helmexec.ErrTestFailed))
	for _, test := range tests {
		fmt.Print(test.Name, ": ", test.Logs["main"])
	}
	// Output:
	// failed: true
	// smoke: no answer on port 80
}

// A chart has to be signed.
func ExampleFake_Unverified() {
	t := &inExample{} // in a test, its *testing.T
	defer t.end()
	fake := helmtest.New(t)
	fake.AddChart(chartFolder(t))
	fake.Unverified(helmtest.UnknownKey)

	h, err := helmexec.New(helmexec.Config{Binary: fake.Binary, Home: t.TempDir(), Keyring: fake.Keyring()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // the second time all is well
		info, err := h.Chart2Info(context.Background(), "oci://registry.example/suts/web:1.2.3", helmexec.ChartOptions{})
		if errors.Is(err, helmexec.ErrUnverified) {
			fmt.Println("not verified")
			continue
		}
		fmt.Println("signed by", info.Signature.SignedBy)
	}
	// Output:
	// not verified
	// signed by Ann <ann@charts.example>
}
