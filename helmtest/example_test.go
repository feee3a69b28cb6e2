package helmtest_test

import (
	"context"
	"errors"
	"fmt"

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
