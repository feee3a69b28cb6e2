// Package argument is the gate for every text that becomes an argument of helm: one check for each kind of text, and
// one for the whole command line. What is refused is an errdef.ErrInvalidArgument that says what is expected.
package argument

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
)

// MaxReleaseName is Helm's limit: a Kubernetes label holds 63 characters, and charts put a suffix on the name.
const MaxReleaseName = 53

// The limits of Kubernetes. They are no part of the expressions: one that counts takes long to compile.
const (
	maxNamespace = 63
	maxDomain    = 253
)

// DNSLabel matches a DNS label of any length, as part of a larger expression.
const DNSLabel = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`

var (
	// domain is DNS labels joined by dots, which is also Helm's rule for a release (pkg/chart/v2/util.ValidateReleaseName).
	domain = pattern.New(`^` + DNSLabel + `(\.` + DNSLabel + `)*$`)
	label  = pattern.New(`^` + DNSLabel + `$`)
	// object is what Kubernetes allows as the name of an object, without the characters at which helm's filters split.
	object = pattern.New(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	chart  = pattern.New(`^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$`)
	repo   = pattern.New(`^[A-Za-z0-9][-A-Za-z0-9._]*$`)
	host   = pattern.New(`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?$`)
	below  = pattern.New(`^(/[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)*/?$`)
	api    = pattern.New(`^[A-Za-z0-9][-A-Za-z0-9./]*$`)

	labelName  = pattern.New(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = pattern.New(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
)

// IsChartName, IsRepoName, IsDigest and IsAPI report whether a text has the form of a chart's name, of the name of a
// repository, of "sha256:" and a hash, and of "group/version" or "group/version/Kind".
func IsChartName(text string) bool { return chart().MatchString(text) }
func IsRepoName(text string) bool  { return repo().MatchString(text) }
func IsAPI(text string) bool       { return api().MatchString(text) }
func IsDigest(text string) bool {
	hash, ok := strings.CutPrefix(text, "sha256:")
	return ok && len(hash) == 64 && strings.Trim(hash, "0123456789abcdef") == ""
}

// IsLabelValue reports whether a text may be the value of a label. It may be empty.
func IsLabelValue(text string) bool { return labelValue().MatchString(text) }

// IsLabelKey reports whether a text may be the key of a label: a name, optionally with a domain and "/" before it.
func IsLabelKey(text string) bool {
	prefix, name, prefixed := strings.Cut(text, "/")
	if !prefixed {
		return labelName().MatchString(text)
	}
	return len(prefix) <= maxDomain && domain().MatchString(prefix) && labelName().MatchString(name)
}

// Release refuses what Helm would refuse as the name of a release.
func Release(name string) error {
	const advice = "SUTNamePrune makes a legal name of any text"
	switch {
	case name == "":
		return errdef.Invalidf("the release name is empty")
	case len(name) > MaxReleaseName:
		return errdef.Invalidf("release name %.80q: %d characters are more than the %d that Helm allows; %s", name, len(name), MaxReleaseName, advice)
	case !domain().MatchString(name):
		return errdef.Invalidf(`release name %.80q: Helm allows a-z, 0-9, "-" and ".", with a letter or digit at the start and end and beside every "."; %s`, name, advice)
	}
	return nil
}

// Namespace accepts the name of a namespace, and none.
func Namespace(name string) error {
	if name != "" && (len(name) > maxNamespace || !label().MatchString(name)) {
		return errdef.Invalidf("namespace %.80q: want lower-case letters, digits and '-', at most 63 characters", name)
	}
	return nil
}

// KubeContext accepts the name of a context, and none.
func KubeContext(name string) error {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return errdef.Invalidf("kube context %q has a control character", name)
	}
	return nil
}

// Kubeconfig accepts the path of a file that exists, several as in KUBECONFIG, and none. Helm reads a missing
// kubeconfig as an empty one and then talks to localhost:8080.
func Kubeconfig(path string) error {
	if path == "" || strings.IndexByte(path, os.PathListSeparator) >= 0 {
		return Text("kubeconfig", path)
	}
	if _, err := os.Stat(path); err != nil {
		return errdef.Invalidf("kubeconfig: %w", err)
	}
	return nil
}

// KubeVersion accepts the version of a cluster, and none.
func KubeVersion(version string) error {
	if version == "" {
		return nil
	}
	if _, err := semver.NewVersion(version); err != nil {
		return errdef.Invalidf("KubeVersion %.80q: %v", version, err)
	}
	return nil
}

// APIs accepts APIs by their form.
func APIs(apis []string) error {
	for _, text := range apis {
		if !IsAPI(text) {
			return errdef.Invalidf("APIVersions: %.80q is not of the form group/version or group/version/Kind", text)
		}
	}
	return nil
}

// Constraint accepts what Helm accepts as the version of a chart: a version, a range, and none.
func Constraint(what, version string) error {
	if version == "" {
		return nil
	}
	if _, err := semver.NewConstraint(version); err != nil {
		return errdef.Invalidf("%s: version %.80q is neither a version nor a constraint: %v", what, version, err)
	}
	return nil
}

// Version accepts an exact version, and none.
func Version(what, version string) error {
	if version == "" {
		return nil
	}
	if _, err := semver.StrictNewVersion(version); err != nil {
		return errdef.Invalidf("%s %.80q: %v", what, version, err)
	}
	return nil
}

// Repo accepts the name of a repository.
func Repo(name string) error {
	if !IsRepoName(name) {
		return errdef.Invalidf("repository name %.80q: want letters, digits, '-', '_' and '.'", name)
	}
	return nil
}

// RegistryHost accepts the host of a registry; shown is what errors show of it.
func RegistryHost(name, shown string) error {
	if !host().MatchString(name) {
		return errdef.Invalidf("registry %q: want a host with or without a port, and no scheme or path", shown)
	}
	return nil
}

// Registry accepts a place in a registry, "oci://host[:port]/path".
func Registry(address, shown string) error {
	rest, ok := strings.CutPrefix(address, "oci://")
	name, path, _ := strings.Cut(rest, "/")
	if !ok || !host().MatchString(name) || !below().MatchString("/"+path) {
		return errdef.Invalidf("registry %q: want oci://host[:port]/path", shown)
	}
	return nil
}

// Hook accepts the name of a hook's object.
func Hook(name string) error {
	if !object().MatchString(name) {
		return errdef.Invalidf("%.80q is not the name of a hook", name)
	}
	return nil
}

// maxAddress is more than an address has, with a signature in its query too.
const maxAddress = 8 << 10

// Address accepts an address by its length. Everything else depends on its form.
func Address(what, address string) error {
	if len(address) > maxAddress {
		return errdef.Invalidf("%s: it has %d bytes, more than the %d of any address", what, len(address), maxAddress)
	}
	return nil
}

// Text accepts any text that an argument can hold.
func Text(what, text string) error {
	if strings.ContainsRune(text, 0) {
		return errdef.Invalidf("%s has a NUL character", what)
	}
	return nil
}

// AbsolutePath replaces the path of a file by its absolute one, which cannot be taken for anything else; "" stays.
func AbsolutePath(what string, path *string) (err error) {
	if *path == "" {
		return nil
	}
	if err := Text(what, *path); err != nil {
		return err
	}
	if *path, err = filepath.Abs(*path); err != nil {
		return errdef.Invalidf("%s: %v", what, err)
	}
	return nil
}

// Variable accepts a variable of an environment.
func Variable(what, name, value string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return errdef.Invalidf("config: %s: %q is not the name of a variable", what, name)
	}
	return Text("config: "+what+": "+name, value)
}

// Duration accepts a time to wait for, and none. What is shorter than a millisecond is, as a rule, a number that somebody
// wrote without a unit.
func Duration(what string, d time.Duration) error {
	switch {
	case d < 0:
		return errdef.Invalidf("%s is %v: it cannot be negative", what, d)
	case d > 0 && d < time.Millisecond:
		return errdef.Invalidf("%s is %v: the least is 1ms; a number without a unit counts nanoseconds", what, d)
	}
	return nil
}

// Count accepts a number from 0.
func Count(what string, n int) error {
	if n < 0 {
		return errdef.Invalidf("%s is %d: it cannot be negative", what, n)
	}
	return nil
}

// ID accepts any text that names a job or an operation, and none. Blanks are the rest of a variable that was not set.
func ID(what, id string) error {
	if id != "" && strings.TrimSpace(id) == "" {
		return errdef.Invalidf("%s %.80q has nothing but blanks", what, id)
	}
	return nil
}

// Labels refuses what Kubernetes would refuse as labels.
func Labels(labels map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !IsLabelKey(key) {
			return errdef.Invalidf("label key %.80q: want a name of letters, digits, '-', '_' and '.', at most 63 characters, optionally with a domain and '/' before it", key)
		}
		if !IsLabelValue(labels[key]) {
			return errdef.Invalidf("value %.80q of label %s: want letters, digits, '-', '_' and '.', at most 63 characters", labels[key], key)
		}
	}
	return nil
}
