package helmexec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// ChartVersion is one version of a chart in a repository's index. All of it is what the index says.
type ChartVersion struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	AppVersion  string    `json:"appVersion,omitempty"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created,omitzero"`
	Deprecated  bool      `json:"deprecated,omitempty"`
	Digest      string    `json:"digest,omitempty"` // SHA-256 of the archive, in hex; many indexes prefix "sha256:"
	URLs        []string  `json:"urls,omitempty"`
}

// digest is the digest as "sha256:…", "" where the index gives none of that kind.
func (v ChartVersion) digest() string {
	d := "sha256:" + strings.ToLower(strings.TrimPrefix(v.Digest, "sha256:"))
	if sha256Digest.MatchString(d) {
		return d
	}
	return ""
}

// maxIndexYAML is how much YAML of an index is parsed at once; parsing takes 30 times the memory.
const maxIndexYAML = 16 << 20

// readIndex reads the versions of one chart from an index, the newest first. As in Helm, versions
// that are no semantic versions are left out. Indexes reach tens of megabytes, and YAML is slow: the
// block of the chart is cut out by its indentation, and only what is written in another way than
// Helm writes it is parsed whole.
func readIndex(path, chart string, limit int64) ([]ChartVersion, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its index has not been fetched", ErrRepoNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return versionsIn(f, chart, limit)
}

// versionsIn is readIndex on an open file.
func versionsIn(f *os.File, chart string, limit int64) ([]ChartVersion, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, tooLarge("the index of the repository", info.Size(), limit, "bytes")
	}
	var versions []ChartVersion
	block, plain := cutIndex(f, chart)
	// A block can refer to an anchor before it.
	if !plain || len(block) > maxIndexYAML || safeyaml.NewReading(context.Background(), len(block)).Decode(block, &versions) != nil {
		if versions, err = parseIndex(f, chart); err != nil {
			return nil, fmt.Errorf("index of the repository: %w", err)
		}
	}
	return newestFirst(versions), nil
}

// parseIndex parses an index as a whole.
func parseIndex(f io.ReadSeeker, chart string) ([]ChartVersion, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if json.Valid(text) {
		var index struct{ Entries map[string]json.RawMessage }
		if err := json.Unmarshal(text, &index); err != nil || index.Entries[chart] == nil {
			return nil, err
		}
		var versions []ChartVersion
		return versions, json.Unmarshal(index.Entries[chart], &versions)
	}
	if len(text) > maxIndexYAML {
		return nil, tooLarge("an index that is not laid out as Helm does it", int64(len(text)), maxIndexYAML, "bytes")
	}
	var index struct{ Entries map[string][]ChartVersion }
	err = safeyaml.NewReading(context.Background(), len(text)).Decode(text, &index)
	return index.Entries[chart], err
}

func newestFirst(versions []ChartVersion) []ChartVersion {
	type parsed struct {
		ChartVersion
		semver *semver.Version
	}
	var valid []parsed
	for _, v := range versions {
		if sv, err := semver.NewVersion(v.Version); err == nil {
			valid = append(valid, parsed{v, sv})
		}
	}
	slices.SortStableFunc(valid, func(a, b parsed) int { return b.semver.Compare(a.semver) })
	versions = nil
	for _, v := range valid {
		versions = append(versions, v.ChartVersion)
	}
	return versions
}

var (
	indexKey     = regexp.MustCompile(`^[A-Za-z]+:( |$)`)
	indexEntry   = regexp.MustCompile(`^  [A-Za-z0-9][-A-Za-z0-9._]*:$`)
	indexComment = regexp.MustCompile(`^ *(#|$)`)
)

// cutIndex finds the list of a chart in an index laid out as Helm writes it: a key "entries:" at the
// margin, below it the charts at two spaces, each a block list. plain is false for any other lay-out.
func cutIndex(r io.Reader, chart string) (block []byte, plain bool) {
	lines := bufio.NewReaderSize(r, 64<<10)
	begun, inEntries, inList, inChart, longLine := false, false, false, false, false
	for {
		line, err := lines.ReadSlice('\n')
		goesOn := longLine
		longLine = errors.Is(err, bufio.ErrBufferFull)
		text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		deep := bytes.HasPrefix(text, []byte("   ")) || bytes.HasPrefix(text, []byte("  -")) // below a chart
		switch {
		case bytes.IndexByte(text, '\r') >= 0:
			return nil, false // a line break of its own
		case goesOn, inList && (deep || len(text) == 0): // an empty line can be of a block scalar
			if inChart {
				block = append(block, line...)
			}
		case indexComment.Match(text):
		case !inEntries && string(text) == "entries:":
			inEntries = true
		case !inEntries:
			if bytes.HasPrefix(text, []byte("entries")) || begun && bytes.HasPrefix(text, []byte("---")) || bytes.HasPrefix(text, []byte("...")) {
				return nil, false
			}
		case text[0] != ' ':
			return block, indexKey.Match(text) // the next key of the index
		case inChart:
			return block, true
		case !indexEntry.Match(text):
			return nil, false
		default:
			inList, inChart = true, string(text) == "  "+chart+":"
		}
		begun = true
		if err != nil && !longLine {
			return block, inEntries && err == io.EOF
		}
	}
}

// pickVersion chooses as helm does: an exact match, else the newest that fits the constraint; no
// constraint means stable versions.
func pickVersion(versions []ChartVersion, want string) (ChartVersion, bool) {
	for _, v := range versions {
		if want != "" && v.Version == want {
			return v, true
		}
	}
	if want == "" {
		want = "*"
	}
	constraint, err := semver.NewConstraint(want)
	if err != nil {
		return ChartVersion{}, false
	}
	for _, v := range versions {
		have, err := semver.NewVersion(v.Version)
		if err == nil && constraint.Check(have) {
			return v, true
		}
	}
	return ChartVersion{}, false
}
