package chart

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

	"github.com/sut-bench/helmexec/internal/errdef"
)

const (
	ratioFloor   = 1 << 20
	maxEntryPath = 4096
)

// read gathers the files of an archive or folder.
func (p *parts) read(path, what string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case info.IsDir():
		return p.readFolder(path, what)
	case !info.Mode().IsRegular():
		return invalid(what, errors.New("it is neither a file nor a folder"))
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("chart archive: %w", err)
	}
	defer file.Close()
	return p.readArchive(what, file)
}

// readArchive reads an archive as a stream.
func (p *parts) readArchive(what string, r io.Reader) error {
	limits, digest := p.limits, sha256.New()
	compressed := &meter{r: io.TeeReader(r, digest)}
	compressed.check = func(n int64) error {
		if n > limits.Archive {
			return errdef.TooLarge("the archive", n, limits.Archive, "bytes")
		}
		return nil
	}
	unzipped, err := gzip.NewReader(compressed)
	if err != nil {
		return archiveError(what, err)
	}
	unpacked := &meter{r: unzipped}
	unpacked.check = func(n int64) error {
		if n > limits.Content {
			return errdef.TooLarge("the unpacked archive", n, limits.Content, "bytes")
		}
		if n > ratioFloor && n > limits.Ratio*compressed.n {
			return fmt.Errorf("%w: %d bytes unpack to %d or more, over %d times as much", ErrTooLarge, compressed.n, n, limits.Ratio)
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
	// The rest contains the checksum, and could contain anything.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return archiveError(what, err)
	}
	p.content = unpacked.n
	p.digest = "sha256:" + hex.EncodeToString(digest.Sum(nil))
	return nil
}

// archiveError explains the errors of the decoders.
func archiveError(what string, err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
	case errors.Is(err, gzip.ErrHeader):
		err = errors.New("it is not a gzip archive, or something follows its end")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("it is not a gzip archive, or cut short: %w", io.ErrUnexpectedEOF)
	}
	return invalid(what, err)
}

// invalid is the error for a chart that exists but cannot be read.
func invalid(what string, err error) error {
	if errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("chart %s: %w", what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrBad, what, err)
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

// addEntry adds one entry of an archive. top is the folder of the first entry, in which all must
// be.
func (p *parts) addEntry(top *string, header *tar.Header, r io.Reader) error {
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil // a comment, such as git's
	case tar.TypeReg, tar.TypeDir:
	default:
		return fmt.Errorf("%.200q is a %s: only files and folders belong in a chart", header.Name, entryKind(header.Typeflag))
	}
	if isSparse(header) {
		return fmt.Errorf("%.200q is a sparse file: its size says nothing about what the archive has of it", header.Name)
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

// splitEntryPath splits the path of an entry into the top folder and the rest, "." for the folder itself. As in
// Helm, a path with "\" uses that as separator, in archives made on Windows. A mixture is refused, because Helm
// and most readers would take it for different files.
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

// isSparse reports a file with holes, which the decoder fills: such a file has more bytes than it takes of the archive, so the
// limit on what is unpacked would not count them. No other entry has more, and the older form has a type of its own.
func isSparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
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
