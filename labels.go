package helmexec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
)

// The labels that an operation puts on the release record. An upgrade inherits labels, so the key
// of the install survives it.
const (
	labelPrefix   = "helmexec/"
	labelInstall  = labelPrefix + "install"  // the operation that installed the release
	labelUpgrade  = labelPrefix + "upgrade"  // the operation that last upgraded it
	labelJob      = labelPrefix + "job"      // the job it belongs to
	labelDeadline = labelPrefix + "deadline" // Unix seconds: by then its job is over
	labelHome     = labelPrefix + "home"     // the home whose helm wrote the record
	labelLock     = labelPrefix + "lock"     // the file in that home that is locked as long as that helm lives
	labelUntil    = labelPrefix + "until"    // Unix seconds: by then that helm has ended
	labelBase     = labelPrefix + "base"     // the revision that an upgrade found
	labelPlan     = labelPrefix + "plan"     // the digest of the plan that it applied
	labelTry      = labelPrefix + "try"      // one helm of an upgrade: it made the first revision with this label; later ones inherit it

	labelSweep     = labelPrefix + "sweep"            // set on a release that exists only to be uninstalled, see sweep
	labelNamespace = labelPrefix + "create-namespace" // set when the install was to make the namespace
	labelCRDs      = labelPrefix + "crds-"            // and a number: the names of the CRDs of subcharts, see packNames
)

// hashedLabel matches the hashes that labelValueOf makes.
var hashedLabel = regexp.MustCompile(`^sha256-[0-9a-f]{40}$`)

// labelValueOf gives each text a unique label value: the text if it is legal and does not look like a hash,
// otherwise its hash.
func labelValueOf(text string) string {
	if text != "" && argument.IsLabelValue(text) && !hashedLabel.MatchString(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + hex.EncodeToString(sum[:20])
}

func unixLabel(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// labels are the labels that one try writes on the record.
func (op *operation) labels(opts InstallOptions, base int, until time.Time) string {
	all := map[string]string{op.label: op.id, labelHome: op.home, labelLock: op.lock, labelUntil: unixLabel(until)}
	if op.label == labelUpgrade {
		all[labelBase], all[labelTry] = strconv.Itoa(base), op.host.newID()
	}
	if op.plan != "" {
		all[labelPlan] = op.plan
	}
	for k, v := range opts.Labels {
		all[k] = v
	}
	if opts.JobID != "" {
		all[labelJob] = labelValueOf(opts.JobID)
	}
	if !opts.Deadline.IsZero() {
		all[labelDeadline] = unixLabel(opts.Deadline)
	}
	if opts.CreateNamespace {
		all[labelNamespace] = "true"
	}
	packNames(all, op.crds)
	return joinLabels(all)
}

func joinLabels(all map[string]string) string {
	var pairs []string
	for _, k := range sortedKeys(all) {
		pairs = append(pairs, k+"="+all[k])
	}
	return strings.Join(pairs, ",")
}

// reservedLabel reports whether Helm reserves a label of the release record for itself.
func reservedLabel(k string) bool {
	return slices.Contains([]string{"name", "owner", "status", "version", "createdAt", "modifiedAt"}, k)
}

// validateLabels checks the labels of a release record.
func validateLabels(labels map[string]string) error {
	if err := argument.Labels(labels); err != nil {
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

const (
	nameSeparator  = "_" // no name of an object contains it
	maxPackedNames = 32 << 10
	labelBytes     = 61 // a value has 63, and must begin and end with a letter
)

// packNames puts names into labels of a record.
func packNames(into map[string]string, names []string) {
	text := strings.Join(names, nameSeparator)
	for i := 0; text != ""; i++ {
		n := min(len(text), labelBytes)
		into[fmt.Sprint(labelCRDs, i)] = "x" + text[:n] + "x"
		text = text[n:]
	}
}

// unpackNames is the reverse of packNames.
func unpackNames(labels map[string]string) []string {
	var text strings.Builder
	for i := 0; ; i++ {
		value, ok := labels[fmt.Sprint(labelCRDs, i)]
		if !ok || len(value) < 3 {
			break
		}
		text.WriteString(value[1 : len(value)-1])
	}
	return strings.FieldsFunc(text.String(), func(r rune) bool { return string(r) == nameSeparator })
}
