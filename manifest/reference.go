package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
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

var errReferenceFormat = errors.New("invalid reference format")

// ParseReference reads an image reference by the rules of container runtimes: those of github.com/distribution/reference,
// with which the tests compare. That package spends two milliseconds of each program that imports it. What is no reference
// is ErrInvalidArgument.
func ParseReference(image string) (Reference, error) {
	r, err := parseReference(image)
	if err != nil {
		return Reference{}, errdef.Invalidf("image %.80q: %w", image, err)
	}
	return r, nil
}

func parseReference(image string) (Reference, error) {
	if len(image) > maxReference {
		return Reference{}, fmt.Errorf("%d bytes are too many for a reference", len(image))
	}
	if isHex(image, 64) || isImageDigest(image) { // a runtime that has an image of this id on the node runs it, whatever its name is
		return Reference{}, fmt.Errorf("%w: %s is the id of an image", errReferenceFormat, image)
	}
	registry, rest := splitRegistry(image)
	if name, _, _ := strings.Cut(rest, ":"); strings.ToLower(name) != name {
		return Reference{}, fmt.Errorf("%w: repository name (%s) must be lowercase", errReferenceFormat, name)
	}
	name, digest, digested := strings.Cut(registry+"/"+rest, "@")
	if digested && !isImageDigest(digest) {
		return Reference{}, errReferenceFormat
	}
	r := Reference{Digest: digest}
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, r.Tag = name[:colon], name[colon+1:]
		if !isTag(r.Tag) {
			return Reference{}, errReferenceFormat
		}
	}
	r.Registry, r.Repository, _ = strings.Cut(name, "/")
	if !isRegistryHost(r.Registry) {
		r.Registry, r.Repository = "", name // what looks like a registry can be a part of the repository
	}
	switch {
	case !isRepository(r.Repository):
		return Reference{}, errReferenceFormat
	case len(r.Repository) > 255:
		return Reference{}, fmt.Errorf("%w: the name of the repository has more than 255 characters", errReferenceFormat)
	}
	return r, nil
}

// splitRegistry separates the registry, which is Docker's if there is none.
func splitRegistry(image string) (registry, rest string) {
	const hub, library = "docker.io", "library/"
	registry, rest, found := strings.Cut(image, "/")
	switch {
	case !found:
		return hub, library + image
	case registry == "index.docker.io":
		registry = hub
	case registry != "localhost" && !strings.ContainsAny(registry, ".:") && strings.ToLower(registry) == registry:
		registry, rest = hub, image
	}
	if registry == hub && !strings.Contains(rest, "/") {
		rest = library + rest
	}
	return registry, rest
}

// isRegistryHost reports whether a text is a host, with or without a port.
func isRegistryHost(text string) bool {
	host := text
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		host = text[:colon]
		if !consistsOf(text[colon+1:], isDigit) {
			return false
		}
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		return closed && consistsOf(inner, func(c byte) bool { return isDigit(c) || c == ':' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' })
	}
	for label := range strings.SplitSeq(host, ".") {
		if !consistsOf(label, func(c byte) bool { return isLower(c) || isUpper(c) || isDigit(c) || c == '-' }) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// isRepository reports whether each part of a path consists of lower-case letters and digits, with single dots, up to two
// underscores, or dashes between them.
func isRepository(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		separator := "x" // in front of the next letter; none may be at the beginning
		for i := range len(part) {
			c := part[i]
			switch {
			case isLower(c) || isDigit(c):
				separator = ""
			case separator == "" && (c == '.' || c == '_' || c == '-'):
				separator = string(c)
			case separator == "_" && c == '_':
				separator = "__"
			case separator == "-" && c == '-':
			default:
				return false
			}
		}
		if separator != "" {
			return false
		}
	}
	return true
}

func isTag(text string) bool {
	return len(text) <= 128 && text != "" && text[0] != '.' && text[0] != '-' &&
		consistsOf(text, func(c byte) bool { return isLower(c) || isUpper(c) || isDigit(c) || c == '_' || c == '.' || c == '-' })
}

// isImageDigest reports whether a text is a digest of an algorithm that images use.
func isImageDigest(text string) bool {
	algorithm, hex, _ := strings.Cut(text, ":")
	return isHex(hex, map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm])
}

func isHex(text string, length int) bool {
	return len(text) == length && consistsOf(text, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' })
}

// consistsOf reports whether a text has bytes, and all of them are of a kind.
func consistsOf(text string, kind func(c byte) bool) bool {
	for i := range len(text) {
		if !kind(text[i]) {
			return false
		}
	}
	return text != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

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
