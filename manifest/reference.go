package manifest

import (
	_ "crypto/sha256" // the digest algorithms of references
	_ "crypto/sha512"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Reference is an image reference in full: "nginx" is docker.io, library/nginx, without tag and digest.
type Reference struct {
	Registry   string // such as docker.io, with the port if there is one
	Repository string // such as library/nginx
	Tag        string // empty if the reference has none; then a container runtime uses latest
	Digest     string // such as sha256:…
}

// maxReference is more than any reference takes: 255 bytes each for registry and repository, 128 for the tag, and a digest.
const maxReference = 1024

// ParseReference reads an image reference by the rules of container runtimes (github.com/distribution/reference).
func ParseReference(image string) (Reference, error) {
	if len(image) > maxReference {
		return Reference{}, fmt.Errorf("%d bytes are too many for a reference", len(image))
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return Reference{}, err
	}
	r := Reference{Registry: reference.Domain(named), Repository: reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		r.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		r.Digest = digested.Digest().String()
	}
	return r, nil
}

// Name returns the registry and the repository.
func (r Reference) Name() string { return strings.Trim(r.Registry+"/"+r.Repository, "/") }

// String returns the reference in full, such as docker.io/library/nginx:1.27.
func (r Reference) String() string {
	var b strings.Builder
	b.WriteString(r.Name())
	if r.Tag != "" {
		b.WriteString(":" + r.Tag)
	}
	if r.Digest != "" {
		b.WriteString("@" + r.Digest)
	}
	return b.String()
}
