package manifest

import (
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// isFile reports another kind of image: a picture, or the disk of a virtual machine, in a file or in Google's cloud.
func isFile(text string) bool {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "projects/") && strings.Contains(text, "/global/images/") || strings.HasPrefix(text, "data:") || strings.Contains(text, "://") {
		return true
	}
	for _, extension := range []string{".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".qcow2", ".iso", ".img", ".vmdk", ".vhd"} {
		if strings.HasSuffix(text, extension) {
			return true
		}
	}
	return false
}

// isOther reports text that is no image wherever it stands in a custom resource: a switch, a number, a file.
func isOther(text string) bool {
	if len(text) <= len("false") {
		switch strings.ToLower(text) {
		case "true", "false", "yes", "no", "on", "off", "none", "null":
			return true
		}
	}
	return isNumber(text) || isFile(text)
}

// isProse reports text with blanks outside of its placeholders.
func isProse(text string) bool {
	if !strings.ContainsAny(text, " \t\n") {
		return false
	}
	return strings.ContainsAny(placeholder().ReplaceAllString(text, ""), " \t\n")
}

// schemeLength is the length of what says that a container registry has the image.
func schemeLength(text string) int {
	for _, scheme := range []string{"docker://", "oci://"} {
		if strings.HasPrefix(text, scheme) {
			return len(scheme)
		}
	}
	return 0
}

// isPulled reports a field that says itself that it is an image, whatever it is called. A parameter may be a place to
// push to.
func isPulled(key string, value *yamlnode.Node) bool {
	return strings.HasPrefix(scalar(value), "docker://") && key != "value" && key != "default"
}

// isRegistry reports the host of a registry, with or without a path behind it.
func isRegistry(text string) bool {
	host, _, _ := strings.Cut(text, "/")
	return host == "localhost" || strings.ContainsAny(host, ".:") && !strings.Contains(text, "://")
}

// hasVersion reports a tag or a digest.
func hasVersion(image string) bool {
	return strings.Contains(image, "@") || strings.LastIndexByte(image, ':') > strings.LastIndexByte(image, '/')
}

func hasRegistry(image string) bool {
	domain, _, found := strings.Cut(image, "/")
	return found && strings.ContainsAny(domain, ".:")
}

// looksLikeImage reports a reference that could hardly be anything else: it has a tag, a digest or a registry.
func (f *imageFinder) looksLikeImage(text string) bool {
	if !hasVersion(text) && !hasRegistry(text) {
		return false
	}
	ref, err := f.parse(text)
	name := strings.TrimPrefix(ref.Repository, "library/")
	return err == nil && name != "sha256" && !isNumber(name) // which are a checksum and a time
}
