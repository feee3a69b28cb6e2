// Package kubelabel knows what Kubernetes accepts as a label.
package kubelabel

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
)

var (
	name   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	value  = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
	domain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
)

// IsValue reports whether a text may be the value of a label. It may be empty.
func IsValue(text string) bool { return value.MatchString(text) }

// Check refuses, by an ErrInvalidArgument, what Kubernetes would refuse as labels.
func Check(labels map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		prefix, rest, hasPrefix := strings.Cut(key, "/")
		if !hasPrefix {
			prefix, rest = "", key
		}
		if hasPrefix && !domain.MatchString(prefix) || !name.MatchString(rest) {
			return errdef.Invalidf("label key %q: want a name of letters, digits, '-', '_' and '.', at most 63 characters, optionally with a domain and '/' before it", key)
		}
		if !IsValue(labels[key]) {
			return errdef.Invalidf("value %q of label %s: want letters, digits, '-', '_' and '.', at most 63 characters", labels[key], key)
		}
	}
	return nil
}
