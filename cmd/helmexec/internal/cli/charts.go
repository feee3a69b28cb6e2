package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/out"
	"github.com/sut-bench/helmexec/cmd/helmexec/internal/view"
)

// chartCommands look at a chart and need no cluster.
func (a *app) chartCommands() []*cobra.Command {
	all := []*cobra.Command{a.infoCommand(), a.valuesCommand(), a.imagesCommand(), a.gpusCommand(), a.retagCommand()}
	for _, cmd := range all {
		cmd.GroupID = "look"
		cmd.Args = exactly(1)
		cmd.ValidArgsFunction = a.completeCharts(0)
	}
	return all
}

func (a *app) infoCommand() *cobra.Command {
	var flags chartFlags
	cmd := &cobra.Command{
		Use:   "info CHART",
		Short: "Show what a chart says about itself",
		Example: `  helmexec info https://charts.example/suts/webapp:0.3.1
  helmexec info ./web -o json`,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			info, err := h.Chart2Info(ctx, args[0], flags.options())
			if err != nil {
				return err
			}
			shown := view.ChartOf(info)
			return a.out.Print(shown, func(p *out.Page) { infoPage(p, shown) })
		}),
	}
	flags.add(a, cmd)
	cmd.Flags().BoolVar(&flags.refresh, "refresh", false, "contact the source again, also for a version that is in the cache")
	return cmd
}

func infoPage(p *out.Page, c view.Chart) {
	path := "archive"
	if info, err := os.Stat(c.Archive); err == nil && info.IsDir() {
		path = "folder"
	}
	fields(p, "chart", c.Name, "version", c.Version, "app version", c.AppVersion, "description", c.Description, "Kubernetes", c.KubeVersion,
		"type", c.Type, "source", c.Ref, "repository", c.Repo, path, c.Archive, "digest", c.Digest)
	if c.Deprecated {
		p.Row("deprecated", "yes")
	}
	if len(c.Dependencies) > 0 {
		p.Head("DEPENDENCY", "VERSION", "REPOSITORY")
		for _, d := range c.Dependencies {
			p.Row(d.Name, d.Version, d.Repository)
		}
	}
}

// fields adds rows of a name and a value, without those that have none.
func fields(p *out.Page, namesAndValues ...string) {
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			p.Row(pair[0], pair[1])
		}
	}
}

func (a *app) valuesCommand() *cobra.Command {
	var flags chartFlags
	var over valueFlags
	cmd := &cobra.Command{
		Use:   "values CHART",
		Short: "Show the values that a chart gets",
		Long:  "Show a chart's own values, with those of --values and --set over them. The defaults of its dependencies are not among them.",
		Example: `  helmexec values ./web > values.yaml
  helmexec values repo/web:1.2.3 -f lab.yaml --set replicas=3`,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			given, err := over.values(a)
			if err != nil {
				return err
			}
			own, err := h.ShowValues(ctx, args[0], flags.options())
			if err != nil {
				return err
			}
			values := own.Merge(given)
			text, err := out.YAML(values)
			if err != nil {
				return err
			}
			return a.out.Print(values, func(p *out.Page) { p.Text(string(text)) })
		}),
	}
	flags.add(a, cmd)
	over.add(cmd)
	return cmd
}

func (a *app) imagesCommand() *cobra.Command {
	var flags renderFlags
	var why, all, full bool
	var exclude []string
	cmd := &cobra.Command{
		Use:   "images CHART",
		Short: "List the images that a cluster pulls for a chart",
		Long: `List the images that a cluster pulls for a chart, each once. What may be an image and cannot be pulled as it stands is
listed after them. busybox is left out, which every lab has, unless --all or --exclude is given. With --why the list has
every place, and what only looks like an image; LINE counts in the rendered manifest, which helm template prints.`,
		Example: `  helmexec images https://charts.example/suts/webapp
  helmexec images ./web --why --set gpu=true
  helmexec images ./web --all -o json | jq -r '.images[]' | xargs -n1 skopeo inspect`,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			render, err := flags.options(a)
			if err != nil {
				return err
			}
			if all {
				exclude = []string{}
			}
			found, err := h.Inspect(ctx, args[0], helmexec.InspectOptions{Render: render, Images: helmexec.ImageOptions{Exclude: exclude, FullNames: full}})
			if err != nil {
				return err
			}
			shown := view.ImagesOf(found.Report)
			if shown.LeftOut, err = leftOut(ctx, found.Manifest, exclude); err != nil {
				return err
			}
			if err := a.out.Print(shown, func(p *out.Page) { imagesPage(p, shown, why) }); err != nil {
				return err
			}
			if len(shown.LeftOut) > 0 {
				a.say("left out: %s; --all leaves out nothing", strings.Join(shown.LeftOut, ", "))
			}
			return nil
		}),
	}
	flags.add(a, cmd)
	f := cmd.Flags()
	f.BoolVar(&why, "why", false, "show where each image stands")
	f.StringSliceVar(&exclude, "exclude", helmexec.DefaultExclude(), "leave out `images` of exactly these names")
	f.BoolVar(&all, "all", false, "leave out nothing")
	f.BoolVar(&full, "full-names", false, "docker.io/library/nginx for nginx")
	return cmd
}

// leftOut is which images are in the chart and not in the list.
func leftOut(ctx context.Context, m helmexec.Manifest, exclude []string) ([]string, error) {
	report, err := m.ImageReportContext(ctx, helmexec.ImageOptions{Exclude: []string{}})
	if err != nil {
		return nil, err
	}
	var left []string
	for _, use := range report.Images {
		if slices.Contains(exclude, use.Image) && !slices.Contains(left, use.Image) {
			left = append(left, use.Image)
		}
	}
	return left, nil
}

func imagesPage(p *out.Page, images view.Images, why bool) {
	if !why {
		for _, image := range images.Images {
			p.Line("%s", image)
		}
	} else if len(images.Uses) > 0 {
		usesTable(p, "IMAGE", images.Uses)
	}
	doubts := slices.Concat(images.Invalid, images.Unresolved)
	if len(doubts) > 0 {
		usesTable(p, "NOT KNOWN", doubts)
	}
	if why && len(images.Hints) > 0 {
		usesTable(p, "A PROGRAM MAY PULL", images.Hints)
	}
}

func usesTable(p *out.Page, head string, uses []view.Image) {
	reasons := slices.ContainsFunc(uses, func(u view.Image) bool { return u.Reason != "" })
	if reasons {
		p.Head(head, "OBJECT", "FIELD", "LINE", "WHY")
	} else {
		p.Head(head, "OBJECT", "FIELD", "LINE")
	}
	for _, u := range uses {
		p.Row(u.Image, u.Object, u.Path, u.Line, u.Reason)
	}
}

func (a *app) gpusCommand() *cobra.Command {
	var flags renderFlags
	cmd := &cobra.Command{
		Use:   "gpus CHART",
		Short: "Show the accelerators that a chart asks for",
		Long:  "Show the accelerators that a chart asks for: in all, and by workload. check says whether nodes can hold them.",
		Example: `  helmexec gpus oci://registry.example/suts/inference:1.2.0
  helmexec gpus ./inference --set replicas=4 -o json`,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			render, err := flags.options(a)
			if err != nil {
				return err
			}
			report, err := h.Chart2GPUs(ctx, args[0], render, helmexec.GPUOptions{})
			if err != nil {
				return err
			}
			shown := view.GPUsOf(report)
			return a.out.Print(shown, func(p *out.Page) { gpusPage(p, shown) })
		}),
	}
	flags.add(a, cmd)
	return cmd
}

func gpusPage(p *out.Page, g view.GPUs) {
	p.Line("accelerators in all: %s", amounts(g.Totals))
	if len(g.Workloads) > 0 {
		p.Head("WORKLOAD", "PODS", "EACH TAKES", "FIELD")
		for _, w := range g.Workloads {
			p.Row(w.Object, podsOf(w), amounts(w.PerPod), w.Path)
		}
	}
	if len(g.Warnings) > 0 {
		p.Head("WARNING", "OBJECT", "FIELD")
		for _, w := range g.Warnings {
			p.Row(out.Warn.In(w.Message), w.Object, w.Path)
		}
	}
}

func podsOf(w view.Workload) string {
	switch {
	case w.PerNode:
		return "one a node"
	case w.Template:
		return "template"
	case len(w.Hooks) > 0:
		return fmt.Sprintf("%d, %s hook", w.Replicas, strings.Join(w.Hooks, ", "))
	}
	return fmt.Sprint(w.Replicas)
}

func amounts(of map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[name], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (a *app) retagCommand() *cobra.Command {
	var flags renderFlags
	var mirrors map[string]string
	var manifest string
	var hints bool
	cmd := &cobra.Command{
		Use:   "retag CHART --mirror FROM=TO",
		Short: "Show how a chart runs from mirrors of its images",
		Long: `Show which images to copy to the mirrors, and the values with which the chart names the mirrors itself. Images that no
value in a usual place names are listed: a key that ends with image, or repository with or without registry. The chart may
have another value for them; --manifest writes a manifest in which all of them are replaced. A --mirror that no image is
from gets a warning. The exit code is 3 if an image cannot be replaced at all.`,
		Example: `  helmexec retag ./web --mirror docker.io=mirror.lab/docker --mirror '*=mirror.lab/other'
  helmexec retag ./web --mirror '*=mirror.lab' -o json | jq .values > mirrors.json && helmexec plan web ./web -f mirrors.json`,
		RunE: a.do(func(ctx context.Context, h *helmexec.Helm, args []string) error {
			if len(mirrors) == 0 {
				return fmt.Errorf("%w: name a mirror, such as --mirror docker.io=mirror.lab/docker", helmexec.ErrInvalidArgument)
			}
			for from, to := range mirrors {
				if strings.TrimSpace(from) == "" || strings.TrimSpace(to) == "" {
					return fmt.Errorf("%w: --mirror %s=%s: one side is empty: want FROM=TO, such as docker.io=mirror.lab/docker", helmexec.ErrInvalidArgument, from, to)
				}
				if strings.Contains(from+to, "://") {
					return fmt.Errorf("%w: --mirror %s=%s: an image has no scheme: write host[:port][/path]", helmexec.ErrInvalidArgument, from, to)
				}
			}
			render, err := flags.options(a)
			if err != nil {
				return err
			}
			found, err := h.Inspect(ctx, args[0], helmexec.InspectOptions{Render: render})
			if err != nil {
				return err
			}
			rewrite := helmexec.RegistryMap(mirrors).Rewrite
			after, report, err := found.Manifest.Retag(rewrite, helmexec.RetagOptions{Hints: hints})
			if err != nil {
				return err
			}
			export, err := helmexec.ExportImages(found.Manifest, found.Info.Values.Merge(render.Values), rewrite, helmexec.ImageOptions{})
			if err != nil {
				return err
			}
			if manifest == "-" {
				return fmt.Errorf("%w: --manifest -: want a file; stdout has the table", helmexec.ErrInvalidArgument)
			}
			if manifest != "" {
				if err := os.WriteFile(manifest, after, 0o600); err != nil {
					return err
				}
			}
			shown := view.Retag{
				Changed: view.RetaggedOf(report.Changed), Failed: view.RetaggedOf(report.Failed), Images: []view.Mirrored{},
				Values: export.Values, Missed: append([]string{}, export.Missed...),
			}
			shown.Unused = unusedMirrors(mirrors, export.Images, shown.Changed)
			for _, from := range shown.Unused {
				a.say("warning: --mirror %s: no image of the chart is from there", from)
			}
			for i, image := range export.Images {
				if export.Mirrors[i] != image {
					shown.Images = append(shown.Images, view.Mirrored{Image: image, Mirror: export.Mirrors[i]})
				}
			}
			values, err := out.YAML(shown.Values)
			if err != nil {
				return err
			}
			err = a.out.Print(shown, func(p *out.Page) { retagPage(p, shown, string(values)) })
			if err == nil && len(report.Failed) > 0 {
				err = errNo
			}
			return err
		}),
	}
	flags.add(a, cmd)
	f := cmd.Flags()
	f.StringToStringVar(&mirrors, "mirror", nil, "where the images of a registry, or of all (*), are copied to: `from=to`")
	f.StringVar(&manifest, "manifest", "", "write the manifest with the mirrors to this `file`")
	f.BoolVar(&hints, "hints", false, "replace image-shaped text in arguments, environment and ConfigMaps, too")
	return cmd
}

// unusedMirrors are the places that were given a mirror, and that nothing is from.
func unusedMirrors(mirrors map[string]string, images []string, changed []view.Retagged) []string {
	for _, c := range changed {
		images = append(images, c.From) // perhaps of a hint
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(mirrors)), func(from string) bool {
		move := helmexec.RegistryMap{from: "mirror.invalid"}.Rewrite
		return slices.ContainsFunc(images, func(image string) bool {
			ref, err := helmexec.ParseReference(image)
			return err == nil && move(ref) != ref
		})
	})
}

func retagPage(p *out.Page, r view.Retag, values string) {
	p.Head("IMAGE", "MIRROR")
	for _, m := range r.Images {
		p.Row(m.Image, m.Mirror)
	}
	if len(r.Values) > 0 {
		p.Head("VALUES")
		p.Text(values)
	}
	if len(r.Missed) > 0 {
		p.Head("NO VALUE IN A USUAL PLACE")
		for _, image := range r.Missed {
			p.Row(image)
		}
	}
	if len(r.Failed) > 0 {
		p.Head("CANNOT BE REPLACED", "OBJECT", "FIELD", "WHY")
		for _, f := range r.Failed {
			p.Row(out.Bad.In(f.From), f.Object, f.Path, f.Reason)
		}
	}
}
