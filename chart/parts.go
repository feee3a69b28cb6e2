package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/redact"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

const (
	chartFile        = "Chart.yaml"
	requirementsFile = "requirements.yaml" // the dependencies, in charts of Helm 2
	valuesFile       = "values.yaml"
	schemaFile       = "values.schema.json"
)

// parts gathers the files of one chart, whether they come from an archive or from a folder. Paths are relative
// to the chart's folder, so the files of a dependency (charts/x/Chart.yaml) are not mistaken for its own.
type parts struct {
	limits  Limits
	extra   func(name string) bool // more files to read than those that describe the chart; nil for none
	texts   map[string][]byte      // of the files that are read
	seen    map[string]bool
	files   []string
	entries int
	content int64  // bytes of the unpacked archive
	digest  string // of the archive
}

func newParts(limits Limits, extra func(name string) bool) *parts {
	return &parts{limits: limits, extra: extra, texts: map[string][]byte{}, seen: map[string]bool{}}
}

// count counts a file or folder.
func (p *parts) count() error {
	p.entries++
	if p.entries > p.limits.Files {
		return errdef.TooLarge("the chart", int64(p.entries), int64(p.limits.Files), "files and folders")
	}
	return nil
}

// add adds one file, and reads it if its content is needed.
func (p *parts) add(name string, size int64, open func() (io.ReadCloser, error)) error {
	if err := p.count(); err != nil {
		return err
	}
	if redact.Line(name) != name {
		// Helm writes the name into a comment of the manifest, which a line break would end.
		return fmt.Errorf("the name of a file has unprintable characters: %.200q", name)
	}
	if p.seen[name] {
		return fmt.Errorf("it has two files %.200q", name) // Helm would take the last, other readers the first
	}
	p.seen[name] = true
	p.files = append(p.files, name)

	limit := p.limits.File
	switch name {
	case chartFile, requirementsFile, valuesFile:
		limit = min(limit, safeyaml.MaxSize)
	case schemaFile:
	default:
		if p.extra == nil || !p.extra(name) {
			open = nil
		}
	}
	if size > limit {
		return errdef.TooLarge(fmt.Sprintf("file %.200q", name), size, limit, "bytes")
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
		return errdef.TooLarge(fmt.Sprintf("file %.200q", name), int64(len(text)), limit, "bytes")
	}
	p.texts[name] = bytes.TrimPrefix(text, safeyaml.ByteOrderMark) // Helm takes it off every file of a chart
	return nil
}

// chart interprets the files; what is its name in errors.
func (p *parts) chart(what string) (*Chart, error) {
	if !p.seen[chartFile] {
		return nil, noChart(what)
	}
	metadata, err := parseMetadata(chartFile, p.texts[chartFile])
	if err != nil {
		return nil, invalid(what, err)
	}
	if text, ok := p.texts[requirementsFile]; ok {
		if err := metadata.addRequirements(requirementsFile, text); err != nil {
			return nil, invalid(what, err)
		}
	}
	values, err := parseValues(valuesFile, p.texts[valuesFile])
	if err != nil {
		return nil, invalid(what, err)
	}
	return &Chart{Metadata: metadata, Values: values, Schema: p.texts[schemaFile], Files: p.files, Digest: p.digest}, nil
}

func noChart(what string) error {
	return fmt.Errorf("%w: %s has no Chart.yaml in its top folder", ErrNotFound, what)
}

// versionControl are folders that do not belong in a chart, and that would exceed its limits. Helm leaves them
// out if the chart has the .helmignore that "helm create" writes; the rules of that file are not applied here.
var versionControl = map[string]bool{".git": true, ".hg": true, ".svn": true, ".bzr": true}

// readFolder reads a chart that is not packaged. Helm follows every symbolic link in a folder, so a chart could
// read any file of this machine into a template. Therefore a link that leaves the folder is refused, and so is
// anything that is neither a file nor a folder. A link within the folder is followed, and counts as its target.
func (p *parts) readFolder(dir, what string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("chart folder: %w", err)
	}
	defer root.Close()
	if _, err := root.Lstat(chartFile); errors.Is(err, fs.ErrNotExist) {
		return noChart(what) // and not that it has a file that no chart may have
	}
	if err := (&folderReader{root: root, parts: p}).folder(".", ".", nil); err != nil {
		return invalid(what, err)
	}
	return nil
}

// folderReader reads the files of a chart's folder into parts.
type folderReader struct {
	root  *os.Root
	parts *parts
	total int64
}

// folder reads a folder. name is its path in the chart, as in Helm; place is its path in the root, which
// differs after an absolute link. above are the folders around it.
func (f *folderReader) folder(name, place string, above []fs.FileInfo) error {
	info, err := f.root.Stat(place)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
		return fmt.Errorf("the link %.200s leads to a folder that contains it", name)
	}
	entries, err := fs.ReadDir(f.root.FS(), place)
	if err != nil {
		return err
	}
	above = append(slices.Clip(above), info)
	for _, entry := range entries {
		if err := f.entry(path.Join(name, entry.Name()), path.Join(place, entry.Name()), entry, above); err != nil {
			return err
		}
	}
	return nil
}

func (f *folderReader) entry(name, place string, entry fs.DirEntry, above []fs.FileInfo) error {
	if len(name) > maxEntryPath {
		return fmt.Errorf("it has a path of %d bytes", len(name))
	}
	info, err := f.root.Stat(place) // follows a link, within the folder only
	if err != nil && entry.Type()&fs.ModeSymlink != 0 {
		if place = f.absolute(place); place != "" {
			info, err = f.root.Stat(place)
		}
		if err != nil {
			return fmt.Errorf("the link %.200s leads out of the folder, to nothing or through too many links: %w", name, err)
		}
	}
	switch {
	case err != nil:
		return err
	case entry.IsDir() && versionControl[entry.Name()]:
		return f.withoutLinks(name, place)
	case info.IsDir():
		if err := f.parts.count(); err != nil {
			return err
		}
		return f.folder(name, place, above)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%.200s is neither a file nor a folder", name)
	}
	if f.total += info.Size(); f.total > f.parts.limits.Content {
		return errdef.TooLarge("the folder", f.total, f.parts.limits.Content, "bytes")
	}
	return f.parts.add(name, info.Size(), func() (io.ReadCloser, error) { return f.root.Open(place) })
}

// withoutLinks refuses links in a folder whose files do not count: Helm follows them unless a .helmignore keeps it away.
func (f *folderReader) withoutLinks(name, place string) error {
	entries, err := fs.ReadDir(f.root.FS(), place)
	for _, entry := range entries {
		inner := path.Join(name, entry.Name())
		switch {
		case err != nil:
		case len(inner) > maxEntryPath:
			err = fmt.Errorf("it has a path of %d bytes", len(inner))
		case entry.IsDir():
			err = f.withoutLinks(inner, path.Join(place, entry.Name()))
		case !entry.Type().IsRegular():
			err = fmt.Errorf("%.200s is a link or no file, in a folder of a version control system", inner)
		}
	}
	return err
}

// absolute returns the target of an absolute link within the folder, "" if it leads out. It only looks at the
// text of the link, and reads nothing outside the folder.
func (f *folderReader) absolute(link string) string {
	target, err := f.root.Readlink(link)
	if err != nil || !filepath.IsAbs(target) {
		return ""
	}
	top, err := filepath.Abs(f.root.Name())
	if err != nil {
		return ""
	}
	place, err := filepath.Rel(top, target)
	if err != nil || !filepath.IsLocal(place) {
		return ""
	}
	return filepath.ToSlash(place)
}
