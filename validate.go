package helmexec

import (
	"cmp"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/kubelabel"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// reservedLabel tells the labels that Helm keeps for itself on a release record.
func reservedLabel(k string) bool {
	return slices.Contains([]string{"name", "owner", "status", "version", "createdAt", "modifiedAt"}, k)
}

func validateTarget(namespace, kubeconfig, kubeContext string) error {
	if namespace != "" && !dnsLabel.MatchString(namespace) {
		return errdef.Invalidf("namespace %q: want lower-case letters, digits and '-', at most 63 characters", namespace)
	}
	if strings.IndexFunc(kubeContext, unicode.IsControl) >= 0 {
		return errdef.Invalidf("kube context %q has a control character", kubeContext)
	}
	// Helm reads a missing kubeconfig as an empty one and then talks to localhost:8080.
	if kubeconfig != "" && strings.IndexByte(kubeconfig, os.PathListSeparator) < 0 {
		if _, err := os.Stat(kubeconfig); err != nil {
			return errdef.Invalidf("kubeconfig: %v", err)
		}
	}
	return nil
}

// validateLabels checks the labels of a release record.
func validateLabels(labels map[string]string) error {
	if err := kubelabel.Check(labels); err != nil {
		return err
	}
	for _, k := range sortedKeys(labels) {
		switch {
		case reservedLabel(k):
			return errdef.Invalidf("label %q is reserved by Helm", k)
		case strings.HasPrefix(k, labelPrefix):
			return errdef.Invalidf("label %q: the prefix %s is used by helmexec itself", k, labelPrefix)
		}
	}
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
