package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

func (a *app) hostCommands() []*cobra.Command {
	return []*cobra.Command{a.doctorCommand(), a.versionCommand()}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the versions of this command and of helm",
		Example: "  helmexec version -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			shown := view.Version{Version: ownVersion(), Go: runtime.Version()}
			v, err := a.helmVersion(cmd.Context())
			switch {
			case err == nil:
				shown.Helm = v.String()
			case cmd.Flags().Changed("helm"):
				return err
			default:
				a.say("the version of helm is not known: %s", view.Advice(err.Error()))
			}
			return a.out.Print(shown, func(p *out.Page) {
				fields(p, "helmexec", shown.Version, "go", shown.Go, "helm", shown.Helm)
			})
		},
	}
}

func (a *app) helmVersion(ctx context.Context) (helmexec.Version, error) {
	h, err := a.helm()
	if err != nil {
		return helmexec.Version{}, err
	}
	return h.Version(ctx)
}

func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// The results of a diagnosis.
const (
	ok      = "ok"
	warning = "warning"
	fault   = "fault"
)

// rightsChart creates one object, in a dry run.
var rightsChart = map[string]string{
	"Chart.yaml":            "apiVersion: v2\nname: helmexec-doctor\nversion: 1.0.0\n",
	"templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: helmexec-doctor}\n",
}

// namespaceChart has one object if its namespace exists.
var namespaceChart = map[string]string{
	"Chart.yaml": "apiVersion: v2\nname: helmexec-doctor\nversion: 1.0.0\n",
	"templates/config.yaml": `{{ if lookup "v1" "Namespace" "" .Release.Namespace }}
apiVersion: v1
kind: ConfigMap
metadata: {name: helmexec-doctor}
{{ end }}`,
}

func (a *app) doctorCommand() *cobra.Command {
	var withoutCluster bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would be in the way: helm, home, repositories, cluster, rights",
		Long: `Look at helm and the known holes of its version, the home, the repositories, the cluster, and your rights there, as far as
a list of releases and a dry run on the server show them. Nothing is changed. The exit code is 3 if there is a fault.`,
		Example: `  helmexec doctor -n bench
  helmexec doctor --offline -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var d diagnosis
			h, err := a.helm()
			usable := err == nil
			if !usable {
				var remove func()
				if h, remove = withAnotherHome(a.cfg); h != nil {
					defer remove()
				}
			}
			if h == nil {
				check := "helm"
				if _, gone := os.Stat(a.cfg.Kubeconfig); a.cfg.Kubeconfig != "" && gone != nil {
					check = "kubeconfig"
				}
				d.add(check, fault, err.Error())
			} else {
				runs := d.helm(cmd.Context(), h)
				if usable {
					d.home(a.cfg.Home)
					d.repos(cmd.Context(), h)
				} else {
					d.add("home", fault, err.Error())
				}
				if !withoutCluster {
					if a.cfg.Kubeconfig == "" {
						for _, missing := range missingOf(os.Getenv("KUBECONFIG")) {
							d.add("kubeconfig", warning, missing)
						}
					}
					if runs {
						d.cluster(cmd.Context(), h, a.cfg.Namespace)
					}
				}
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			shown := view.Doctor{OK: !d.faulty, Checks: d.checks}
			err = a.out.Print(shown, func(p *out.Page) {
				p.Head("CHECK", "RESULT", "WHAT WAS FOUND")
				for _, c := range shown.Checks {
					style := map[string]out.Style{ok: out.Good, warning: out.Warn, fault: out.Bad}[c.Result]
					p.Row(c.Check, style.In(c.Result), c.Detail)
				}
			})
			if err == nil && d.faulty {
				err = errNo
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&withoutCluster, "offline", false, "ask no cluster")
	return cmd
}

// withAnotherHome is helm with an empty home, or nil: so the home was what was wrong, and the rest can still be looked at.
func withAnotherHome(cfg helmexec.Config) (h *helmexec.Helm, remove func()) {
	dir, err := os.MkdirTemp("", "helmexec-doctor-*")
	if err != nil {
		return nil, nil
	}
	remove = func() { _ = os.RemoveAll(dir) }
	cfg.Home = dir
	if h, err = helmexec.New(cfg); err != nil {
		remove()
		return nil, nil
	}
	return h, remove
}

// diagnosis collects what is found.
type diagnosis struct {
	checks []view.Diagnosis
	faulty bool
}

func (d *diagnosis) add(check, result, detail string) {
	d.checks = append(d.checks, view.Diagnosis{Check: check, Result: result, Detail: view.Advice(detail)})
	d.faulty = d.faulty || result == fault
}

// helm reports whether it can be run, for what only helm can say.
func (d *diagnosis) helm(ctx context.Context, h *helmexec.Helm) bool {
	v, err := h.Version(ctx)
	if err != nil {
		d.add("helm", fault, err.Error())
		return false
	}
	d.add("helm", ok, v.String())
	for _, advisory := range v.Advisories() {
		d.add("known hole", warning, fmt.Sprintf("%s: %s; fixed in %s; %s", advisory.ID, advisory.Summary, strings.Join(advisory.FixedIn, ", "), advisory.URL))
	}
	return true
}

func (d *diagnosis) home(home string) {
	switch home {
	case helmexec.UserHome:
		d.add("home", warning, "helm's own: repositories, log-ins and plugins of the user apply; charts of strangers need a private home")
		return
	case "":
		cache, err := os.UserCacheDir()
		if err != nil {
			d.add("home", fault, err.Error())
			return
		}
		home = filepath.Join(cache, "helmexec")
	}
	probe, err := os.CreateTemp(home, "doctor-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		d.add("home", fault, err.Error())
		return
	}
	d.add("home", ok, home)
}

func (d *diagnosis) repos(ctx context.Context, h *helmexec.Helm) {
	repos, err := h.Repos(ctx)
	if err != nil {
		d.add("repositories", fault, err.Error())
		return
	}
	d.add("repositories", ok, fmt.Sprintf("%d are known; they are not contacted here", len(repos)))
	for _, r := range repos {
		d.add("repository", ok, r.Name+" "+r.URL)
	}
}

// missingOf looks for the files that KUBECONFIG names: helm takes no notice of one that is not there.
func missingOf(kubeconfig string) []string {
	var all []string
	for _, file := range filepath.SplitList(kubeconfig) {
		if _, err := os.Stat(file); file != "" && err != nil {
			all = append(all, "of KUBECONFIG: "+err.Error())
		}
	}
	return all
}

func (d *diagnosis) cluster(ctx context.Context, h *helmexec.Helm, namespace string) {
	cluster, err := h.Cluster(ctx, helmexec.ClusterOptions{})
	if err != nil {
		d.add("cluster", fault, err.Error())
		return
	}
	d.add("cluster", ok, fmt.Sprintf("Kubernetes %s, %d APIs", cluster.KubeVersion, len(cluster.APIVersions)))
	if cluster.ID == "" {
		d.add("identity of the cluster", warning, "the namespace kube-system cannot be read, so a plan does not know for which cluster it is")
	}
	releases, err := h.List(ctx, helmexec.ListOptions{})
	if err != nil {
		d.add("right to list releases", fault, err.Error())
	} else {
		d.add("right to list releases", ok, view.Count(len(releases), "release", "releases"))
	}
	if namespace != "" && isMissing(ctx, h) {
		d.add("namespace", warning, "there is no namespace "+namespace+": --create-namespace of install and apply makes it, and so does createNamespace of a job file")
	}
	if err := dryRun(ctx, h); err != nil {
		d.add("dry run on the server", fault, err.Error())
	} else {
		d.add("dry run on the server", ok, "a ConfigMap could be looked up and planned; the right to create objects shows only when it is used")
	}
}

// dryRun installs a chart of one object, and changes nothing.
func dryRun(ctx context.Context, h *helmexec.Helm) error {
	return withChart(rightsChart, func(dir string) error {
		_, err := h.Install(ctx, "helmexec-doctor", dir, helmexec.InstallOptions{DryRun: true})
		return err
	})
}

// isMissing reports whether the cluster says that it does not have the namespace of helm. Who may not ask learns nothing.
func isMissing(ctx context.Context, h *helmexec.Helm) bool {
	missing := false
	err := withChart(namespaceChart, func(dir string) error {
		p, err := h.Plan(ctx, "helmexec-doctor", dir, helmexec.PlanOptions{Lookups: true})
		missing = err == nil && len(p.Objects) == 0
		return err
	})
	return err == nil && missing
}

// withChart writes a chart into a folder for a function.
func withChart(files map[string]string, use func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "helmexec-doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	return use(dir)
}
