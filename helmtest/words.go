package helmtest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/helmtext/testdata"
)

// words is what real helm of the fake's major version said in a recorded scene, with the names of a call instead of
// those of the scene: pairs of old and new. The lock is held.
func (f *Fake) words(scene string, names ...string) string {
	return f.recorded("stderr", scene, names...)
}

// recorded is words, or what it printed to stdout. The lock is held.
func (f *Fake) recorded(stream, scene string, names ...string) string {
	versions, err := fs.ReadDir(testdata.Recordings, stream)
	if err != nil {
		panic(err) // it is part of the binary
	}
	major, _, _ := strings.Cut(f.version, ".")
	for _, v := range slices.Backward(versions) {
		if text, err := fs.ReadFile(testdata.Recordings, path.Join(stream, v.Name(), scene+".txt")); err == nil && strings.HasPrefix(v.Name(), major+".") {
			return strings.NewReplacer(names...).Replace(string(text))
		}
	}
	return fmt.Sprintf("Error: helmtest: there is no recording %s of Helm %s\n", scene, major)
}

// said is the reply of a helm that failed with the words of a scene.
func (f *Fake) said(scene string, names ...string) Reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Reply{Stderr: f.words(scene, names...), Exit: 1}
}
