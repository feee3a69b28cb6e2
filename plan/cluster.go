package plan

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/emptycluster"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/manifest"
)

// Cluster is what a chart can learn about the cluster it is rendered for.
type Cluster struct {
	// ID is the UID of the namespace kube-system, which no two clusters share. "" is a cluster that is not known yet, or
	// whose namespace kube-system the caller may not read.
	ID string
	// KubeVersion is the version of Kubernetes, such as "v1.34.0". Major and Minor are what the cluster itself says they
	// are, which may be "34+"; by default they are those of KubeVersion.
	KubeVersion, Major, Minor string
	// APIVersions are the APIs that the cluster serves, "group/version" and "group/version/Kind"; one without kinds
	// serves all. None stands for the APIs that helm was built with.
	APIVersions []string
}

// Validate checks a cluster and completes it: Major and Minor are set, the APIs are sorted, each once.
//
// Errors: ErrInvalidArgument.
func (c *Cluster) Validate() error {
	version, err := semver.NewVersion(c.KubeVersion)
	if err != nil {
		return errdef.Invalidf("cluster: KubeVersion %.80q: %v", c.KubeVersion, err)
	}
	c.Major = cmp.Or(c.Major, strconv.FormatUint(version.Major(), 10))
	c.Minor = cmp.Or(c.Minor, strconv.FormatUint(version.Minor(), 10))
	if err := argument.APIs(c.APIVersions); err != nil {
		return err
	}
	slices.Sort(c.APIVersions)
	c.APIVersions = slices.Compact(c.APIVersions)
	return nil
}

// LacksKinds reports whether there is an API without kinds. The APIs are sorted.
func (c *Cluster) LacksKinds() bool {
	for i, api := range c.APIVersions { // sorted: its kinds follow an API
		if _, kind := emptycluster.SplitAPI(api); kind == "" && (i+1 == len(c.APIVersions) || !strings.HasPrefix(c.APIVersions[i+1], api+"/")) {
			return true
		}
	}
	return false
}

// Serve adds APIs, such as "acme.io/v1" and "acme.io/v1/Web".
func (c *Cluster) Serve(apis ...string) {
	c.APIVersions = append(c.APIVersions, slices.DeleteFunc(apis, func(api string) bool { return !argument.IsAPI(api) })...)
	slices.Sort(c.APIVersions)
	c.APIVersions = slices.Compact(c.APIVersions)
}

// ServeCRDs adds the kinds that CRDs define. What cannot be read is left out: New refuses it.
func (c *Cluster) ServeCRDs(crds manifest.Manifest) {
	objects, _ := crds.Objects()
	var apis []string
	for _, object := range objects {
		var definition struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Served bool
				}
			}
		}
		text, err := json.Marshal(object)
		if err != nil || json.Unmarshal(text, &definition) != nil {
			continue
		}
		for _, version := range definition.Spec.Versions {
			if version.Served {
				api := definition.Spec.Group + "/" + version.Name
				apis = append(apis, api, api+"/"+definition.Spec.Names.Kind)
			}
		}
	}
	c.Serve(apis...)
}
