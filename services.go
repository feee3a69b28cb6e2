package helmexec

import "context"

// ChartInfo is what a job needs to know about a chart before it is installed.
type ChartInfo struct {
	Name, Version string
	Values        Values // the chart's own values.yaml
	Metadata      *Metadata
	// Ref is the chart without its version as Install takes it; Repo the name of its repository.
	Ref, Repo string
	// Archive is the chart on this machine, an archive or a folder, which Install takes too. It exists as long
	// as Chart.Path. Digest is the "sha256:…" of an archive, "" for a folder.
	Archive, Digest string
	// ManifestDigest and Signature are as in Chart.
	ManifestDigest string
	Signature      *Signature
}

// Chart2Info resolves the address of a chart to its name, version and values. An address is one of
//
//	http(s)://host[:port]/path/chart[:version]   a chart of the repository at http(s)://host[:port]/path
//	oci://host[:port]/path/chart[:version]       a chart in an OCI registry, also with @sha256:…
//	http(s)://host[:port]/path/chart-1.2.3.tgz   one archive
//	repo/chart[:version]                         a chart of a repository that AddRepo made known
//	/path, ./path, chart-1.2.3.tgz               a folder or archive on this machine
//
// Starts only the processes of Fetch.
//
// Errors: ErrInvalidArgument for an address of another form, and as Fetch.
func (h *Helm) Chart2Info(ctx context.Context, address string, opts ChartOptions) (_ *ChartInfo, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Chart2Info", Address: address})
	defer end(&err)
	ch, err := h.Fetch(ctx, address, opts)
	if err != nil {
		return nil, err
	}
	return ch.info(), nil
}

func (ch *Chart) info() *ChartInfo {
	return &ChartInfo{
		Name: ch.Metadata.Name, Version: ch.Metadata.Version, Values: ch.Values, Metadata: ch.Metadata,
		Ref: ch.Ref, Repo: ch.Repo, Archive: ch.Path, Digest: ch.Digest,
		ManifestDigest: ch.ManifestDigest, Signature: ch.Signature,
	}
}

// Chart2Images lists the images that a cluster pulls for a chart, those of hooks and tests too, sorted and unique, without
// busybox (DefaultExclude): for a list of what nodes must have, set ImageOptions.Exclude to []string{}. The chart is
// rendered once, by one helm process in addition to those of Fetch, or none if the render is
// remembered.
//
// Errors: as Template; if a document of the manifest is bad, the images of the others and an ErrBadManifest;
// the context's, also if it ends while the manifest is read.
func (h *Helm) Chart2Images(ctx context.Context, chart string, render TemplateOptions, opts ImageOptions) (_ []string, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Chart2Images", Address: chart})
	defer end(&err)
	_, m, err := h.rendered(ctx, chart, render, true)
	if err != nil {
		return nil, err
	}
	return m.ImagesContext(ctx, opts)
}

// Chart2GPUs lists the accelerators that a chart asks for. The chart is rendered once, by one helm
// process in addition to those of Fetch, or none if the render is remembered.
//
// Errors: as Template; if a document of the manifest is bad, the result of the others and an ErrBadManifest;
// the context's, also if it ends while the manifest is read.
func (h *Helm) Chart2GPUs(ctx context.Context, chart string, render TemplateOptions, opts GPUOptions) (_ *GPUReport, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Chart2GPUs", Address: chart})
	defer end(&err)
	_, m, err := h.rendered(ctx, chart, render, true)
	if err != nil {
		return nil, err
	}
	return m.GPUsContext(ctx, opts)
}
