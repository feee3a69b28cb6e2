package manifest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/stretchr/testify/assert"
)

// runtimes reads a reference as container runtimes do.
func runtimes(image string) (r Reference, ok bool) {
	any, err := reference.ParseAnyReference(image)
	named, isName := any.(reference.Named)
	if err != nil || !isName { // the id of an image
		return r, false
	}
	r = Reference{Registry: reference.Domain(named), Repository: reference.Path(named)}
	if tagged, is := named.(reference.Tagged); is {
		r.Tag = tagged.Tag()
	}
	if digested, is := named.(reference.Digested); is {
		r.Digest = digested.Digest().String()
	}
	return r, true
}

func compareReference(t *testing.T, image string) (valid bool) {
	t.Helper()
	if len(image) > maxReference {
		return false
	}
	want, ok := runtimes(image)
	got, err := ParseReference(image)
	if (err == nil) != ok || got != want {
		t.Errorf("%q is %+v, %v; runtimes read %+v, %v", image, got, err, want, ok)
	}
	return ok
}

// pieces are what references consist of, and what is nearly that.
var pieces = []string{
	"a", "b1", "0", "web", "library", "docker.io", "index.docker.io", "localhost", "registry.example", "Registry", "A", "x-y", "a_b", "a__b", "a___b", "a..b",
	"-", "--", "_", "__", ".", "/", "/", "/", "//", ":", ":", ":5000", ":5000/", "@", "@sha256:", "sha256", "sha384:", "sha512:", "md5:", "[::1]", "[", "]", "[fe80::1%a]",
	strings.Repeat("a", 64), strings.Repeat("0f", 32), strings.Repeat("0f", 48), strings.Repeat("0f", 64), strings.Repeat("A", 64), strings.Repeat("b", 128), strings.Repeat("c", 250),
	"é", "É", "\x00", "\n", " ", "%", "+", "~", "ſ", "K",
}

func TestReferencesAreReadAsRuntimesDo(t *testing.T) {
	for _, image := range []string{
		"", "/", ":", "@", "nginx", "nginx:1.27", "nginx:", "nginx@", "library/nginx", "docker.io/nginx", "index.docker.io/nginx:x", "index.docker.io/a/b", "host:5000", "host:5000/a", "host:/a",
		"docker.io:a/b", "a_b.c/foo", "a_b.c/foo:1", "a.b_c:5/foo", "Foo/bar", "foo/Bar", "foo:Bar", "[::1]:5000/a", "[::1]/a", "[::1]x/a", "[::1]:/a", "[]/a", "[::1/a", "::1/a", "a-/b", "-a/b.c", "a.-b.c/d", "a.b.:1/c",
		"x@sha256:" + strings.Repeat("0", 64), "x:1@sha256:" + strings.Repeat("0", 64), "x@sha256:" + strings.Repeat("0", 63), "x@sha256:" + strings.Repeat("F", 64),
		"x@sha512:" + strings.Repeat("0", 128), "x@sha384:" + strings.Repeat("0", 96), "x@md5:" + strings.Repeat("0", 32), "x@SHA256:" + strings.Repeat("0", 64),
		strings.Repeat("a", 64), strings.Repeat("a", 63), "sha256:" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("a", 63), "sha512:" + strings.Repeat("a", 128), "library/sha256:" + strings.Repeat("a", 64), strings.Repeat("a", 247), strings.Repeat("a", 248), "r.x/" + strings.Repeat("a", 255), "r.x/" + strings.Repeat("a", 256),
		"x:" + strings.Repeat("t", 128), "x:" + strings.Repeat("t", 129), "x:_", "x:.", "x:-", "a/b/c.d/e__f", "a/b/", "/a", "a//b", "localhost/x", "localhost:1/x", "LOCALHOST/x",
	} {
		compareReference(t, image)
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	valid := 0
	for range 100_000 {
		var image strings.Builder
		for range 1 + random.IntN(7) {
			image.WriteString(pieces[random.IntN(len(pieces))])
		}
		if compareReference(t, image.String()) {
			valid++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if valid < 1000 {
		t.Errorf("only %d references are valid", valid)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, piece := range pieces {
		f.Add("registry.example:5000/" + piece + ":1")
	}
	f.Fuzz(func(t *testing.T, image string) { compareReference(t, image) })
}

// The error names what was given.
func TestReferenceThatIsNone(t *testing.T) {
	for _, image := range []string{"", "a/UPPER", "a b", "a@sha256:1"} {
		_, err := ParseReference(image)
		assert.ErrorIs(t, err, ErrInvalidArgument)
		assert.ErrorContains(t, err, fmt.Sprintf("image %q: ", image))
	}
}
