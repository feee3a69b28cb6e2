package helmexec

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	chartFile        = "Chart.yaml"
	requirementsFile = "requirements.yaml" // the dependencies, in charts of Helm 2
	valuesFile       = "values.yaml"
	schemaFile       = "values.schema.json"
)

// chartParts gathers the files of one chart, whether they come from an archive or from a folder. Paths are relative to
// the chart's folder, so that the files of a dependency (charts/x/Chart.yaml) are none of this chart's.
type chartParts struct {
	limits  chartLimits
	extra   func(name string) bool // files to be read beside those that describe the chart
	texts   map[string][]byte      // of the files that are read
	seen    map[string]bool
	files   []string
	entries int
	digest  string // of the archive
}

func newChartParts(limits chartLimits) *chartParts {
	return &chartParts{limits: limits, texts: map[string][]byte{}, seen: map[string]bool{}}
}

// count counts a file or folder.
func (p *chartParts) count() error {
	p.entries++
	if p.entries > p.limits.files {
		return tooLarge("the chart", int64(p.entries), int64(p.limits.files), "files and folders")
	}
	return nil
}

// add takes one file, and opens and reads it if it is one that matters here.
func (p *chartParts) add(name string, size int64, open func() (io.ReadCloser, error)) error {
	if err := p.count(); err != nil {
		return err
	}
	if p.seen[name] {
		return fmt.Errorf("it has two files %.200q", name) // Helm would take the last, other readers the first
	}
	p.seen[name] = true
	p.files = append(p.files, name)

	limit := p.limits.file
	switch name {
	case chartFile, requirementsFile, valuesFile:
		limit = min(limit, maxYAMLSize)
	case schemaFile:
	default:
		if p.extra == nil || !p.extra(name) {
			open = nil
		}
	}
	if size > limit {
		return tooLarge(fmt.Sprintf("file %.200q", name), size, limit, "bytes")
	}
	if open == nil {
		return nil
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, limit+1)) // a file on disk may have grown
	if err != nil {
		return err
	}
	if int64(len(text)) > limit {
		return tooLarge(fmt.Sprintf("file %.200q", name), int64(len(text)), limit, "bytes")
	}
	p.texts[name] = text
	return nil
}

// content makes sense of the files; what names the chart in errors.
func (p *chartParts) content(what string) (*chartContent, error) {
	if !p.seen[chartFile] {
		return nil, fmt.Errorf("%w: %s has no Chart.yaml in its top folder", ErrChartNotFound, what)
	}
	metadata, err := parseMetadata(chartFile, p.texts[chartFile])
	if err != nil {
		return nil, unsound(what, err)
	}
	if text, ok := p.texts[requirementsFile]; ok {
		if err := metadata.addRequirements(requirementsFile, text); err != nil {
			return nil, unsound(what, err)
		}
	}
	values, err := parseValues(valuesFile, p.texts[valuesFile])
	if err != nil {
		return nil, unsound(what, err)
	}
	return &chartContent{Metadata: metadata, Values: values, Schema: p.texts[schemaFile], Files: p.files, Digest: p.digest}, nil
}

// versionControl are folders that no chart means to contain, and that would exceed its limits. Helm leaves them out by
// the .helmignore that "helm create" writes; other rules of that file are not applied here.
var versionControl = map[string]bool{".git": true, ".hg": true, ".svn": true, ".bzr": true}

// readFolder reads a chart that is not packaged. Helm follows every symbolic link in one, so a chart could have
// it read any file of this machine into a template: a link that leaves the folder is refused, and so are a link to a
// folder and whatever is no file.
func (p *chartParts) readFolder(dir, what string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("chart folder: %w", err)
	}
	defer root.Close()

	total := int64(0)
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case entry.IsDir() && versionControl[entry.Name()]:
			return fs.SkipDir
		case entry.IsDir():
			return p.count()
		}
		info, err := root.Stat(name) // follows a link, within the folder only
		if err != nil && entry.Type()&fs.ModeSymlink != 0 {
			return fmt.Errorf("the link %s leads out of the folder or to nothing: %w", name, err)
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file, and neither a folder of the chart", name)
		}
		if total += info.Size(); total > p.limits.total {
			return tooLarge("the folder", total, p.limits.total, "bytes")
		}
		return p.add(name, info.Size(), func() (io.ReadCloser, error) { return root.Open(name) })
	})
	if err != nil {
		return unsound(what, err)
	}
	return nil
}
