package helmexec

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/sut-bench/helmexec/internal/redact"
)

// chartLimits bound what is read of a chart, which anybody may have made. An archive or folder beyond one of them is
// ErrOutputTooLarge.
type chartLimits struct {
	compressed int64 // bytes of the archive
	total      int64 // bytes of the unpacked archive, or of the files of a folder
	file       int64 // bytes of one file
	files      int   // number of files and folders
	ratio      int64 // unpacked to compressed bytes, looked at beyond ratioFloor
}

// defaultChartLimits: Helm itself stops at 100 MiB unpacked, Helm 3 at 5 MiB a file. Charts unpack to 5 to 30 times
// their size; gzip reaches 1032.
var defaultChartLimits = chartLimits{compressed: 32 << 20, total: 100 << 20, file: 16 << 20, files: 10_000, ratio: 200}

const (
	ratioFloor   = 1 << 20
	maxEntryPath = 4096
)

// chartContent is what this package needs of a chart without asking helm.
type chartContent struct {
	Metadata *Metadata
	Values   Values   // the chart's own values.yaml; empty without one
	Schema   []byte   // the text of values.schema.json; nil without one
	Files    []string // every file, by its path within the chart's folder, in the order found
	Digest   string   // SHA-256 of the archive in hex, as a repository's index has it; empty for a folder
}

// ArchiveValues reads the values of a chart, an archive (.tgz) or a folder, without a helm process. They are the
// content of the chart's own values.yaml, as "helm show values" prints it: the defaults of its dependencies are not in
// it. A chart without the file has no values, which is not an error.
//
// The chart need not be trusted: it is read as a stream and nothing is unpacked to disk. Refused are devices, paths out
// of the chart's folder, files that are there twice, and links, but for those in a folder that stay in it
// (ErrBadChart); and more than 100 MiB of content, 32 MiB of archive, 16 MiB in one file, 1 MiB in values.yaml, 10,000
// files or a compression ratio of 200 (ErrOutputTooLarge). ErrChartNotFound: there is nothing at the path, or no chart.
func ArchiveValues(path string) (Values, error) {
	content, err := readChart(path, path, defaultChartLimits)
	if err != nil {
		return nil, err
	}
	return content.Values, nil
}

// readChart reads a chart archive or folder to its end, so that what it returns has been checked as a whole. what names
// it in errors.
func readChart(path, what string, limits chartLimits) (_ *chartContent, err error) {
	defer func() { err = redact.Legible(err) }()
	parts := newChartParts(limits)
	if err := parts.read(path, what); err != nil {
		return nil, err
	}
	return parts.content(what)
}

// read gathers the files of an archive or folder.
func (p *chartParts) read(path, what string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrChartNotFound, err)
	case info.IsDir():
		return p.readFolder(path, what)
	case !info.Mode().IsRegular():
		return unsound(what, errors.New("it is neither a file nor a folder"))
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("chart archive: %w", err)
	}
	defer file.Close()
	return p.readArchive(what, file)
}

// readArchive reads an archive as a stream.
func (p *chartParts) readArchive(what string, r io.Reader) error {
	limits, digest := p.limits, sha256.New()
	compressed := &meter{r: io.TeeReader(r, digest)}
	compressed.check = func(n int64) error {
		if n > limits.compressed {
			return tooLarge("the archive", n, limits.compressed, "bytes")
		}
		return nil
	}
	unzipped, err := gzip.NewReader(compressed)
	if err != nil {
		return archiveError(what, err)
	}
	unpacked := &meter{r: unzipped}
	unpacked.check = func(n int64) error {
		if n > limits.total {
			return tooLarge("the unpacked archive", n, limits.total, "bytes")
		}
		if n > ratioFloor && n > limits.ratio*compressed.n {
			return fmt.Errorf("%w: %d bytes unpack to %d or more, over %d times as much", ErrOutputTooLarge, compressed.n, n, limits.ratio)
		}
		return nil
	}

	entries := tar.NewReader(unpacked)
	for top := ""; ; {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = p.addEntry(&top, header, entries)
		}
		if err != nil {
			return archiveError(what, err)
		}
	}
	// The rest holds the checksum, and could hold anything.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return archiveError(what, err)
	}
	p.digest = hex.EncodeToString(digest.Sum(nil))
	return nil
}

// archiveError puts the errors of the decoders into words.
func archiveError(what string, err error) error {
	switch {
	case errors.Is(err, ErrOutputTooLarge):
	case errors.Is(err, gzip.ErrHeader):
		err = errors.New("it is no gzip archive, or something follows its end")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("it is no gzip archive, or cut short: %w", io.ErrUnexpectedEOF)
	}
	return unsound(what, err)
}

// unsound is the error of a chart that is there and cannot be read.
func unsound(what string, err error) error {
	if errors.Is(err, ErrOutputTooLarge) {
		return fmt.Errorf("chart %s: %w", what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrBadChart, what, err)
}

func tooLarge(what string, n, limit int64, unit string) error {
	return fmt.Errorf("%w: %s has %d %s or more, over the %d allowed", ErrOutputTooLarge, what, n, unit, limit)
}

// meter counts what is read through it, and ends with the error of check.
type meter struct {
	r     io.Reader
	n     int64
	check func(n int64) error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if limit := m.check(m.n); limit != nil {
		return 0, limit
	}
	return n, err
}

// addEntry takes one entry of an archive. top is the folder of the first, in which all must be.
func (p *chartParts) addEntry(top *string, header *tar.Header, r io.Reader) error {
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil // a comment, such as git's
	case tar.TypeReg, tar.TypeDir:
	default:
		return fmt.Errorf("%.200q is a %s: only files and folders belong in a chart", header.Name, entryKind(header.Typeflag))
	}
	folder, name, err := splitEntryPath(header.Name)
	if err != nil {
		return err
	}
	if *top == "" {
		*top = folder
	}
	if folder != *top {
		return fmt.Errorf("it has more than one top folder: %.80q and %.80q", *top, folder)
	}
	if header.Typeflag == tar.TypeDir {
		return p.count()
	}
	if name == "." {
		return fmt.Errorf("%.200q is outside of the chart's folder", header.Name)
	}
	return p.add(name, header.Size, func() (io.ReadCloser, error) { return io.NopCloser(r), nil })
}

// splitEntryPath splits the path of an entry into the top folder and what is below it, "." for the folder itself. As
// in Helm the separator is "\" where there is one, in archives made on Windows; a mixture means another file to Helm
// than to most readers and is refused.
func splitEntryPath(name string) (top, rest string, err error) {
	if len(name) > maxEntryPath {
		return "", "", fmt.Errorf("it has a path of %d bytes", len(name))
	}
	slashed := strings.ReplaceAll(name, `\`, "/")
	if slashed != name && strings.Contains(name, "/") {
		return "", "", fmt.Errorf(`path %.200q mixes "/" and "\"`, name)
	}
	top, rest, _ = strings.Cut(slashed, "/")
	switch {
	case top == "", strings.HasPrefix(rest, "/"), len(top) > 1 && top[1] == ':', len(rest) > 1 && rest[1] == ':':
		return "", "", fmt.Errorf("path %.200q is absolute", name)
	case top == ".." || strings.Contains("/"+rest+"/", "/../"):
		return "", "", fmt.Errorf("path %.200q leads out of the chart's folder", name)
	}
	return top, path.Clean(rest), nil
}

func entryKind(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "hard link"
	case tar.TypeSymlink:
		return "symbolic link"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "pipe"
	}
	return fmt.Sprintf("special file (type %q)", flag)
}
