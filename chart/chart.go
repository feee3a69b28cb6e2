package chart

import (
	"cmp"
	"slices"

	"github.com/sut-bench/helmexec/internal/redact"
)

// Chart is what a chart says about itself. All of it comes from its author and must not be trusted.
type Chart struct {
	Metadata *Metadata
	Values   Values   // the chart's own values.yaml, without those of its dependencies; empty without one
	Schema   []byte   // the text of values.schema.json; nil without one
	Files    []string // every file, by its path within the chart's folder, in the order found
	Digest   string   // "sha256:…" of the archive; "" for a folder
}

// Options are for Read and ReadCRDs.
type Options struct {
	Name   string // the name of the chart in errors; default is its path
	Limits Limits
}

// Limits on what is read of a chart. Zero fields take the defaults. A chart that exceeds one is ErrTooLarge. In
// addition, values.yaml and Chart.yaml must not have more than 1 MiB each.
type Limits struct {
	Archive int64 // bytes of the archive; 32 MiB
	Content int64 // bytes of the unpacked archive, or of the files of a folder; 100 MiB
	File    int64 // bytes of one file; 16 MiB
	Files   int   // number of files and folders; 10,000
	Ratio   int64 // unpacked to compressed bytes, beyond the first MiB; 200
}

// withDefaults: Helm itself stops at 100 MiB unpacked, Helm 3 at 5 MiB per file. Charts unpack to 5 to 30
// times their size; gzip reaches 1032.
func (l Limits) withDefaults() Limits {
	return Limits{
		Archive: cmp.Or(l.Archive, 32<<20), Content: cmp.Or(l.Content, 100<<20), File: cmp.Or(l.File, 16<<20),
		Files: cmp.Or(l.Files, 10_000), Ratio: cmp.Or(l.Ratio, 200),
	}
}

// Read reads a chart archive (.tgz) or folder to its end, so the whole chart has been checked.
//
// The archive is read as a stream and nothing is unpacked to disk. Devices, paths that lead out of the chart's
// folder, duplicate files and links are refused, except links in a folder that stay in it. What its schema of
// values refers to is checked by CheckSchemaReferences.
//
// Errors: ErrNotFound, ErrBad, ErrTooLarge.
func Read(path string, opts Options) (_ *Chart, err error) {
	defer func() { err = redact.Legible(err) }()
	name := cmp.Or(opts.Name, path)
	parts := newParts(opts.Limits.withDefaults(), nil)
	if err := parts.read(path, name); err != nil {
		return nil, err
	}
	return parts.chart(name)
}

// CheckFiles refuses a chart whose files Read refuses to read: for links, devices, paths, names, numbers or sizes. It looks into none
// of them, so it accepts a chart that has mistakes in its Chart.yaml or values.
//
// Errors: as Read.
func CheckFiles(path string, opts Options) (err error) {
	defer func() { err = redact.Legible(err) }()
	return newParts(opts.Limits.withDefaults(), nil).read(path, cmp.Or(opts.Name, path))
}

// HasCRDs reports whether a chart brings custom resource definitions, or may bring some: it has a folder crds,
// or packed subcharts.
func (c *Chart) HasCRDs() bool { return slices.ContainsFunc(c.Files, bringsCRDs) }
