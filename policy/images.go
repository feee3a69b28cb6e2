package policy

import (
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/manifest"
	"github.com/sut-bench/helmexec/plan"
)

// Images allows only images from these places: a registry ("registry.example:5000"), or a registry with the first parts of
// a path ("docker.io/library", "ghcr.io/acme/web"). Names are in full, so nginx is docker.io/library/nginx. An image that
// is invalid, or that the plan does not say, is not allowed.
func Images(from ...string) plan.Rule { return images(from).rule() }

func images(from []string) check {
	return check{"images", func(v *view) {
		v.unknownImages()
		for _, use := range v.plan.Images.Images {
			name := use.Reference.Name()
			if !slices.ContainsFunc(from, func(prefix string) bool { return isBelow(name, prefix) }) {
				v.faultImage(use, "is from a place that is not allowed")
			}
		}
	}}
}

// isBelow reports a name that is the prefix, or continues it behind a slash.
func isBelow(name, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	rest, found := strings.CutPrefix(name, prefix)
	return found && prefix != "" && (rest == "" || rest[0] == '/')
}

// Digests allows only images that are pinned by a digest: their text says which bytes run.
func Digests() plan.Rule { return digests().rule() }

func digests() check {
	return check{"digests", func(v *view) {
		v.unknownImages()
		for _, use := range v.plan.Images.Images {
			if use.Reference.Digest == "" {
				v.faultImage(use, "has no digest")
			}
		}
	}}
}

// unknownImages reports the images of which nobody knows what they are.
func (v *view) unknownImages() {
	for _, use := range slices.Concat(v.plan.Images.Invalid, v.plan.Images.Unresolved) {
		v.faultImage(use, "is not known: "+use.Reason)
	}
}

func (v *view) faultImage(use manifest.ImageUse, text string) {
	v.faultPlace(use.Place, use.Image, text)
}

func (v *view) faultPlace(place manifest.Place, value, text string) {
	v.findings = append(v.findings, plan.Finding{Rule: v.rule, Object: place.Object, Path: place.Path, Value: shortened(value, maxValue), Text: text})
}
