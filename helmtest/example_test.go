package helmtest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// An install that waits for a pod in vain, as helm ends it: the release is recorded as failed, and helm says that the time is
// over. What "helm status" then says of the pod becomes the reason.
func ExampleFake_Handle() {
	t := &inExample{} // in a test, its *testing.T
	defer t.end()
	fake := helmtest.New(t)
	fake.Handle("install", func(c helmtest.Call) helmtest.Reply {
		if reply := fake.Perform(c); reply.Exit != 0 {
			return reply
		}
		r, _ := fake.Release(c.Flag("--namespace"), c.Arg(0))
		r.Status = "failed"
		fake.SetRelease(r)
		return helmtest.Reply{Stderr: "Error: INSTALLATION FAILED: context deadline exceeded\n", Exit: 1}
	})
	fake.Handle("status", func(helmtest.Call) helmtest.Reply {
		return helmtest.Reply{Stdout: `{"info": {"resources": {"v1/Pod(related)": [{
			"kind": "Pod", "metadata": {"name": "web-1"},
			"status": {"phase": "Pending", "containerStatuses": [
				{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}}]}}}`}
	})

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
	// Output:
	// Pod web-1, container main: ImagePullBackOff: not found
	// still there: false
}
