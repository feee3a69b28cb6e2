package fetch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/binary"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// Versions lists the versions of a chart in its repository or registry, the newest first; if the address has a version or
// constraint, only those that match it. from says how to reach a registry, which is always asked.
func (s *Store) Versions(ctx context.Context, address string, fresh bool, from Source) (_ []chart.Version, err error) {
	defer func() { err = redact.Legible(err) }()
	asked := time.Now()
	src, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	from.Keyring = ""
	w := want{source: src, opts: from}
	w.shown = redact.Address(w.ref)
	var versions []chart.Version
	switch src.kind {
	case fromOCI:
		if versions, err = s.tagged(ctx, w); err == nil && len(versions) == 0 {
			err = fmt.Errorf("%w: %s has no tag that is a version", errdef.ErrChartNotFound, w.shown)
		}
	case fromRepo:
		versions, err = s.indexed(ctx, &w, asked, fresh)
	default:
		err = errdef.Invalidf("%s: only a chart of a repository or registry has versions that can be listed", named(address))
	}
	if err == nil && w.version != "" {
		versions = slices.DeleteFunc(versions, func(v chart.Version) bool {
			_, ok := pickVersion([]chart.Version{v}, w.version)
			return !ok
		})
		if len(versions) == 0 {
			err = fmt.Errorf("%w: chart %s has no version %s", errdef.ErrChartNotFound, w.shown, w.version)
		}
	}
	return versions, err
}

// indexed lists the versions of a chart that the index of its repository has.
func (s *Store) indexed(ctx context.Context, w *want, asked time.Time, fresh bool) ([]chart.Version, error) {
	if err := s.identify(ctx, w); err != nil {
		return nil, err
	}
	if fresh {
		if err := s.refresh(ctx, w.repo, asked, true); err != nil {
			return nil, err
		}
	}
	versions, err := s.versions(ctx, w.repo, w.chart)
	if err == nil && len(versions) == 0 {
		err = s.noChart(ctx, w.repo, w.chart)
	}
	return versions, err
}

// pick looks up a version of a chart in its repository's index.
func (s *Store) pick(ctx context.Context, src source) (chart.Version, error) {
	versions, err := s.versions(ctx, src.repo, src.chart)
	if err != nil {
		return chart.Version{}, err
	}
	v, ok := pickVersion(versions, src.version)
	switch {
	case ok:
		return v, nil
	case len(versions) == 0:
		return v, s.noChart(ctx, src.repo, src.chart)
	case src.version == "":
		return v, fmt.Errorf("%w: chart %s has no stable version; the newest is %s: name it", errdef.ErrChartNotFound, src.shown, versions[0].Version)
	}
	return v, fmt.Errorf("%w: chart %s has no version that fits %q; the newest is %s", errdef.ErrChartNotFound, src.shown, src.version, versions[0].Version)
}

func (s *Store) noChart(ctx context.Context, repo, name string) error {
	return fmt.Errorf("%w: repository %s has no chart %q", errdef.ErrChartNotFound, s.shown(ctx, repo), name)
}

// versions reads the versions of a chart from the local index.
func (s *Store) versions(ctx context.Context, repo, name string) ([]chart.Version, error) {
	at, err := s.place(ctx, repo)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(at.config); err != nil {
		return nil, unknown(repo)
	}
	versions, err := s.readIndex(at.index, name)
	if err != nil {
		return nil, redact.Legible(fmt.Errorf("repository %s: %w", s.shown(ctx, repo), err))
	}
	return versions, nil
}

// digestOf is the digest of an archive as "sha256:…", "" if the index has no such digest.
func digestOf(v chart.Version) string {
	d := "sha256:" + strings.ToLower(strings.TrimPrefix(v.Digest, "sha256:"))
	if argument.IsDigest(d) {
		return d
	}
	return ""
}

// maxIndexYAML is how much YAML of an index is parsed at once; parsing takes 30 times the memory.
const maxIndexYAML = 16 << 20

// contentsBound is for the tables of contents of indexes. To look through a large index for one chart takes longer than
// to read its table.
var contentsBound = home.Bound{Bytes: 32 << 20, Entries: 100}

const (
	largeIndex = 256 << 10
	// maxListed is for the charts of an index: more are a way to fill the memory of this program.
	maxListed = 100_000
)

// readIndex reads the versions of one chart from an index, the newest first. As in Helm, versions that are not semantic
// are left out. Indexes reach tens of megabytes, and YAML is slow: the block of the chart is cut out by its indentation,
// and only an index in another layout than Helm's is parsed whole.
func (s *Store) readIndex(path, name string) ([]chart.Version, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its index has not been fetched", errdef.ErrRepoNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > s.limits.Index {
		return nil, errdef.TooLarge("the index of the repository", info.Size(), s.limits.Index, "bytes")
	}
	return versionsIn(f, name, s.listOf(f, info, name))
}

// listOf finds the list of a chart in an index. The table of contents of a large one is kept for as long as its file stays
// the same.
func (s *Store) listOf(f *os.File, info fs.FileInfo, name string) list {
	state := binary.State(info)
	if !s.private || state == "" || info.Size() < largeIndex {
		return contentsOf(f).listOf(name)
	}
	if text, ok := s.indexes.Get(state); ok {
		if kept, ok := listFrom(text, name); ok {
			return kept
		}
	}
	found := contentsOf(f)
	// A private index is only replaced, but whoever finds it changed meanwhile keeps nothing.
	if info, err := f.Stat(); err == nil && binary.State(info) == state {
		s.indexes.Put(state, found.text())
	}
	return found.listOf(name)
}

// prepare makes the table of contents of a new index, before many ask for it at once.
func (s *Store) prepare(index string) {
	f, err := os.Open(index)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && s.private && info.Size() >= largeIndex { // no other table is kept
		s.listOf(f, info, "")
	}
}

// versionsIn reads the versions of a chart from an index that has them in this list.
func versionsIn(f *os.File, name string, in list) (versions []chart.Version, err error) {
	block := make([]byte, in.size)
	if _, err := f.ReadAt(block, in.from); err != nil && in.size > 0 {
		return nil, err
	}
	// A block can refer to an anchor before it.
	if !in.known || len(block) > maxIndexYAML || safeyaml.NewPass(context.Background(), len(block)).Decode(block, &versions) != nil {
		if versions, err = parseIndex(f, name); err != nil {
			return nil, fmt.Errorf("index of the repository: %w", err)
		}
	}
	return newestFirst(versions), nil
}

// parseIndex parses an index as a whole.
func parseIndex(f io.ReadSeeker, name string) ([]chart.Version, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if json.Valid(text) {
		var index struct{ Entries map[string]json.RawMessage }
		if err := json.Unmarshal(text, &index); err != nil || index.Entries[name] == nil {
			return nil, err
		}
		var versions []chart.Version
		return versions, json.Unmarshal(index.Entries[name], &versions)
	}
	if len(text) > maxIndexYAML {
		return nil, errdef.TooLarge("an index that is not laid out as Helm does it", int64(len(text)), maxIndexYAML, "bytes")
	}
	var index struct{ Entries map[string][]chart.Version }
	err = safeyaml.NewPass(context.Background(), len(text)).Decode(text, &index)
	return index.Entries[name], err
}

func newestFirst(versions []chart.Version) []chart.Version {
	type parsed struct {
		chart.Version
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
		versions = append(versions, v.Version)
	}
	return versions
}

var (
	indexKey     = pattern.New(`^[A-Za-z]+:( |$)`)
	indexEntry   = pattern.New(`^  [A-Za-z0-9][-A-Za-z0-9._]*:$`)
	indexComment = pattern.New(`^ *(#|$)`)
)

// contents says where the lists of the charts are in an index with Helm's layout: a key "entries:" at the margin, below
// it the charts at two spaces, each a block list.
type contents struct {
	charts map[string]block
	plain  bool // the index has no other charts; otherwise only the first ones are here, at most those above what is in another layout
}

type block struct{ from, size int64 }

// list is where the list of a chart is: an empty block if the index has none. If that is not known, the index has to be
// parsed.
type list struct {
	block
	known bool
}

func (c contents) listOf(name string) list {
	at, has := c.charts[name]
	return list{at, has || c.plain}
}

// How the text of a table of contents begins.
const allCharts, firstCharts = "all charts\n", "the first charts\n"

// text is the table of contents as it is kept: a line for each chart, so that one is found without reading the others.
func (c contents) text() []byte {
	text := []byte(firstCharts)
	if c.plain {
		text = []byte(allCharts)
	}
	for _, name := range slices.Sorted(maps.Keys(c.charts)) {
		text = fmt.Appendf(text, "%s %d %d\n", name, c.charts[name].from, c.charts[name].size)
	}
	return text
}

// listFrom finds a list in the text of a table of contents, if it is one.
func listFrom(text []byte, name string) (l list, ok bool) {
	if l.known = bytes.HasPrefix(text, []byte(allCharts)); !l.known && !bytes.HasPrefix(text, []byte(firstCharts)) {
		return l, false
	}
	_, line, has := bytes.Cut(text, []byte("\n"+name+" "))
	if !has || strings.ContainsAny(name, " \n") {
		return l, true
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	from, size, _ := strings.Cut(string(line), " ")
	var errs [2]error
	l.from, errs[0] = strconv.ParseInt(from, 10, 64)
	l.size, errs[1] = strconv.ParseInt(size, 10, 64)
	l.known = true
	return l, errors.Join(errs[:]...) == nil
}

// contentsOf looks through an index.
func contentsOf(r io.Reader) (c contents) {
	c.charts = map[string]block{}
	lines := bufio.NewReaderSize(r, 64<<10)
	begun, inEntries, longLine := false, false, false
	chart, from, next := "", int64(0), int64(0) // whose list is read, where it begins, and where the next line does
	end := func(at int64) {
		if _, has := c.charts[chart]; chart != "" && !has {
			c.charts[chart] = block{from, at - from}
		}
		chart = ""
	}
	for {
		line, err := lines.ReadSlice('\n')
		at := next
		next += int64(len(line))
		goesOn := longLine
		longLine = errors.Is(err, bufio.ErrBufferFull)
		text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		deep := bytes.HasPrefix(text, []byte("   ")) || bytes.HasPrefix(text, []byte("  -")) // below a chart
		switch {
		case bytes.IndexByte(text, '\r') >= 0:
			return c // another kind of line break
		case goesOn, chart != "" && (deep || len(text) == 0): // an empty line can be of a block scalar
		case indexComment().Match(text):
		case !inEntries && string(text) == "entries:":
			inEntries = true
		case !inEntries:
			if bytes.HasPrefix(text, []byte("entries")) || begun && bytes.HasPrefix(text, []byte("---")) || bytes.HasPrefix(text, []byte("...")) {
				return c
			}
		case text[0] != ' ':
			if indexKey().Match(text) { // the next key of the index
				end(at)
				c.plain = true
			}
			return c
		default:
			end(at)
			if len(c.charts) == maxListed || !indexEntry().Match(text) {
				return c
			}
			chart, from = string(text[2:len(text)-1]), next
		}
		begun = true
		if err != nil && !longLine {
			if c.plain = inEntries && err == io.EOF; c.plain {
				end(next)
			}
			return c
		}
	}
}

// pickVersion chooses as helm does: an exact match, otherwise the newest that fits the constraint;
// no constraint means stable versions.
func pickVersion(versions []chart.Version, want string) (chart.Version, bool) {
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
		return chart.Version{}, false
	}
	for _, v := range versions {
		have, err := semver.NewVersion(v.Version)
		if err == nil && constraint.Check(have) {
			return v, true
		}
	}
	return chart.Version{}, false
}
