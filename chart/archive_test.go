package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/safeyaml"
)

const (
	demoChart  = "apiVersion: v2\nname: demo\nversion: 0.1.0\nappVersion: 1.10\n"
	demoValues = "replicas: 2\nimage: {tag: 1.0}\n"
)

// entry is one entry of an archive; a zero type is a file.
type entry struct {
	name, body string
	header     tar.Header // for anything but a file
}

func file(name, body string) entry { return entry{name: name, body: body} }

func special(name string, header tar.Header) entry { return entry{name: name, header: header} }

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		header := e.header
		if header.Typeflag != tar.TypeXGlobalHeader {
			header.Name, header.Mode, header.Size = e.name, 0o644, int64(len(e.body))
		}
		if header.Typeflag == 0 {
			header.Typeflag = tar.TypeReg
		}
		require.NoError(t, w.WriteHeader(&header))
		_, err := io.WriteString(w, e.body)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func gzipped(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for _, part := range parts {
		_, err := w.Write(part)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func archiveOf(t testing.TB, entries ...entry) []byte {
	return gzipped(t, tarOf(t, entries...))
}

// demo is a valid chart with more entries.
func demo(more ...entry) []entry {
	return append([]entry{file("demo/Chart.yaml", demoChart), file("demo/values.yaml", demoValues)}, more...)
}

func readBytes(archive []byte, limits Limits) (*Chart, error) {
	return readArchive(bytes.NewReader(archive), limits)
}

func TestReadArchive(t *testing.T) {
	archive := archiveOf(t,
		special("demo", tar.Header{Typeflag: tar.TypeDir}),
		file("demo/charts/dep/Chart.yaml", "apiVersion: v2\nname: dep\nversion: 9.9.9\n"),
		file("demo/charts/dep/values.yaml", "replicas: 99\n"),
		file("demo/charts/dep/values.schema.json", "{}"),
		file("demo/templates/Chart.yaml", "name: not-this\n"),
		file("demo/Chart.yaml", demoChart+"dependencies: [{name: dep, version: 9.9.9, import-values: [{child: a, parent: b}, c]}]\n"+
			"maintainers: [{name: a, email: b}]\nannotations: {a: 1}\nunknown: ignored\n"),
		file("demo/values.yaml", "\xef\xbb\xbf"+demoValues),
		file("demo/values.schema.json", `{"type": "object"}`),
	)
	got, err := readBytes(archive, Limits{})
	require.NoError(t, err)
	sum := sha256.Sum256(archive)
	assert.Equal(t, &Chart{
		Metadata: &Metadata{APIVersion: "v2", Name: "demo", Version: "0.1.0", AppVersion: "1.1",
			Dependencies: []Dependency{{Name: "dep", Version: "9.9.9",
				ImportValues: []any{map[string]any{"child": "a", "parent": "b"}, "c"}}},
			Maintainers: []Maintainer{{Name: "a", Email: "b"}}, Annotations: map[string]string{"a": "1"}},
		Values: Values{"replicas": int64(2), "image": map[string]any{"tag": int64(1)}},
		Schema: []byte(`{"type": "object"}`),
		Files: []string{"charts/dep/Chart.yaml", "charts/dep/values.yaml", "charts/dep/values.schema.json", "templates/Chart.yaml",
			"Chart.yaml", "values.yaml", "values.schema.json"},
		Digest: "sha256:" + hex.EncodeToString(sum[:]),
	}, got)
}

func TestReadArchiveAccepts(t *testing.T) {
	tests := []struct {
		name    string
		entries []entry
	}{
		{"no values", []entry{file("demo/Chart.yaml", demoChart)}},
		{"empty values", []entry{file("demo/Chart.yaml", demoChart), file("demo/values.yaml", "")}},
		{"folder of another name", []entry{file("x/Chart.yaml", demoChart)}},
		{"packed from within the folder", []entry{special("./", tar.Header{Typeflag: tar.TypeDir}), file("./Chart.yaml", demoChart)}},
		{"made on Windows", []entry{file(`demo\Chart.yaml`, demoChart), file(`demo\templates\a.yaml`, "")}},
		{"git's comment", []entry{special("pax_global_header", tar.Header{Typeflag: tar.TypeXGlobalHeader,
			PAXRecords: map[string]string{"comment": "abc"}}), file("demo/Chart.yaml", demoChart)}},
		{"a long path", demo(file("demo/"+strings.Repeat("a", 300)+"/b", ""))},
		{"a chart of Helm 2", []entry{file("demo/Chart.yaml", "name: demo\nversion: v1\n"),
			file("demo/requirements.yaml", "dependencies: [{name: dep}]\n")}},
		{"two dots in a name", demo(file("demo/templates/a..b", ""))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readBytes(archiveOf(t, tt.entries...), Limits{})
			require.NoError(t, err)
			assert.Equal(t, "demo", got.Metadata.Name)
			assert.NotNil(t, got.Values)
			if strings.Contains(tt.name, "Helm 2") {
				assert.Equal(t, []Dependency{{Name: "dep"}}, got.Metadata.Dependencies)
				assert.Equal(t, "v1", got.Metadata.APIVersion)
			}
		})
	}
}

func TestReadArchiveRefuses(t *testing.T) {
	chart := func(text string) []entry { return []entry{file("demo/Chart.yaml", text)} }
	tests := []struct {
		name    string
		entries []entry
		kind    error
		says    string
	}{
		{"symbolic link", demo(special("demo/templates/x", tar.Header{Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})), ErrBad, "symbolic link"},
		{"link as values", []entry{file("demo/Chart.yaml", demoChart), special("demo/values.yaml", tar.Header{Typeflag: tar.TypeSymlink, Linkname: "../../x"})}, ErrBad, "symbolic link"},
		{"hard link", demo(special("demo/x", tar.Header{Typeflag: tar.TypeLink, Linkname: "demo/Chart.yaml"})), ErrBad, "hard link"},
		{"device", demo(special("demo/x", tar.Header{Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5})), ErrBad, "device"},
		{"pipe", demo(special("demo/x", tar.Header{Typeflag: tar.TypeFifo})), ErrBad, "pipe"},
		{"absolute path", demo(file("/etc/passwd", "")), ErrBad, "absolute"},
		{"absolute below the top folder", demo(file("demo//etc/passwd", "")), ErrBad, "absolute"},
		{"a drive", demo(file("C:/x", "")), ErrBad, "absolute"},
		{"a drive below the top folder", demo(file("demo/c:/x", "")), ErrBad, "absolute"},
		{"up", demo(file("demo/../../x", "")), ErrBad, "leads out"},
		{"up and back", demo(file("demo/templates/../x", "")), ErrBad, "leads out"},
		{"up at the start", []entry{file("../Chart.yaml", demoChart)}, ErrBad, "leads out"},
		{"up at the end", demo(special("demo/templates/..", tar.Header{Typeflag: tar.TypeDir})), ErrBad, "leads out"},
		{"up by backslash", demo(file(`demo\..\..\x`, "")), ErrBad, "leads out"},
		{"both separators", demo(file(`demo/x\values.yaml`, "evil: true\n")), ErrBad, "mixes"},
		{"a file at the top", demo(file("Chart.yaml", demoChart)), ErrBad, "more than one top folder"},
		{"a file as the top", []entry{file("demo", "")}, ErrBad, "outside"},
		{"two top folders", demo(file("other/Chart.yaml", demoChart)), ErrBad, "more than one top folder"},
		{"a path without end", demo(file("demo/"+strings.Repeat("a/", 4096)+"a", "")), ErrBad, "path of 8198 bytes"},
		{"values twice", demo(file("demo/values.yaml", "evil: true\n")), ErrBad, `two files "values.yaml"`},
		{"values twice by another path", demo(file("demo/./values.yaml", "evil: true\n")), ErrBad, `two files "values.yaml"`},
		{"a line break in a name", demo(file("demo/templates/a\nb.yaml", "")), ErrBad, "the name of a file has unprintable characters"},
		{"an invisible letter in a name", demo(file("demo/templates/a\u202eb.yaml", "")), ErrBad, "the name of a file has unprintable characters"},
		{"bytes that are not letters in a name", demo(file("demo/templates/a\xff.yaml", "")), ErrBad, "the name of a file has unprintable characters"},
		{"a template twice", demo(file("demo/templates/a", ""), file("demo/templates/a", "")), ErrBad, "two files"},
		{"no files", nil, ErrNotFound, "no Chart.yaml"},
		{"no Chart.yaml", []entry{file("demo/values.yaml", "")}, ErrNotFound, "no Chart.yaml"},
		{"Chart.yaml of a dependency only", []entry{file("demo/charts/x/Chart.yaml", demoChart)}, ErrNotFound, "no Chart.yaml"},
		{"empty Chart.yaml", chart(""), ErrBad, "no name"},
		{"Chart.yaml is no YAML", chart("a: [1"), ErrBad, "Chart.yaml"},
		{"Chart.yaml is a list", chart("- a"), ErrBad, "Chart.yaml"},
		{"huge Chart.yaml", chart(demoChart + "#" + strings.Repeat(" ", safeyaml.MaxSize)), ErrTooLarge, `file "Chart.yaml"`},
		{"aliases in Chart.yaml", chart(demoChart + "x: &a [x,x,x,x,x,x,x,x,x,x]\n" + laughs(9)), ErrTooLarge, "aliases"},
		{"aliases in values.yaml", []entry{file("demo/Chart.yaml", demoChart), file("demo/values.yaml", "a: &a [x,x,x,x,x,x,x,x,x,x]\n"+laughs(9))}, ErrTooLarge, "values.yaml: its aliases"},
		{"values are a list", []entry{file("demo/Chart.yaml", demoChart), file("demo/values.yaml", "- a\n")}, ErrBad, "values.yaml"},
		{"name is a dot", chart("name: .\nversion: 1.0.0\n"), ErrBad, `"."`},
		{"name is two dots", chart("name: ..\nversion: 1.0.0\n"), ErrBad, `".."`},
		{"name with a slash", chart("name: ../../x\nversion: 1.0.0\n"), ErrBad, "name of a chart"},
		{"name with a backslash", chart(`name: a\b` + "\nversion: 1.0.0\n"), ErrBad, "name of a chart"},
		{"name with a control character", chart(`name: "a\x1b[31m"` + "\nversion: 1.0.0\n"), ErrBad, "name of a chart"},
		{"a long name", chart("name: " + strings.Repeat("a", 201) + "\nversion: 1.0.0\n"), ErrBad, "201 bytes"},
		{"another name by requirements.yaml", demo(file("demo/requirements.yaml", "name: other\n")), ErrBad, "another name"},
		{"no version", chart("name: demo\n"), ErrBad, "no version"},
		{"version", chart("name: demo\nversion: latest\n"), ErrBad, "semantic version"},
		{"type", chart(demoChart + "type: other\n"), ErrBad, "neither application nor library"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(archiveOf(t, tt.entries...), Limits{})
			require.ErrorIs(t, err, tt.kind)
			assert.ErrorContains(t, err, tt.says)
			assert.ErrorContains(t, err, "demo.tgz")
		})
	}
}

// A file with holes has more bytes than it takes of the archive: a few kilobytes would fill any memory.
func TestReadArchiveRefusesSparseFiles(t *testing.T) {
	const size = "15000000"
	record := func(key, value string) string {
		for length := len(key) + len(value) + 4; ; length++ {
			if r := fmt.Sprintf("%d %s=%s\n", length, key, value); len(r) == length {
				return r
			}
		}
	}
	for _, file := range []struct{ form, pax, body string }{
		{"0.0", record("GNU.sparse.size", size) + record("GNU.sparse.numblocks", "1") + record("GNU.sparse.offset", "0") + record("GNU.sparse.numbytes", "2"), "{}"},
		{"0.1", record("GNU.sparse.size", size) + record("GNU.sparse.numblocks", "1") + record("GNU.sparse.map", "0,2"), "{}"},
		{"1.0", record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.realsize", size), fmt.Sprintf("%-512s{}", "1\n0\n2\n")},
	} {
		t.Run(file.form, func(t *testing.T) {
			all := tarOf(t, demo(entry{name: "pax", body: file.pax}, entry{name: "demo/values.schema.json", body: file.body})...)
			// The writer refuses these records, so a file becomes the header of the next one.
			pax := all[bytes.Index(all, []byte("pax\x00")):][:512]
			pax[156] = tar.TypeXHeader
			sum := 0
			for i, b := range pax {
				if i >= 148 && i < 156 {
					b = ' ' // the place of the sum itself
				}
				sum += int(b)
			}
			copy(pax[148:], fmt.Sprintf("%06o\x00 ", sum))
			decoder := tar.NewReader(bytes.NewReader(all))
			for range 3 {
				header, err := decoder.Next()
				require.NoError(t, err)
				if header.Name == "demo/values.schema.json" {
					assert.Equal(t, size, fmt.Sprint(header.Size), "to the decoder this is no sparse file, so it shows nothing")
				}
			}
			_, err := readBytes(gzipped(t, all), Limits{})
			require.ErrorIs(t, err, ErrBad)
			assert.ErrorContains(t, err, "sparse file")
		})
	}
}

func TestReadArchiveRefusesDamage(t *testing.T) {
	// Random bytes, so that the archive is long enough to be cut anywhere.
	noise := make([]byte, 10_000)
	rand.New(rand.NewSource(1)).Read(noise)
	good := archiveOf(t, demo(file("demo/noise", string(noise)))...)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 0xff
	tests := []struct {
		name    string
		archive []byte
		says    string
	}{
		{"empty file", nil, "cut short"},
		{"not gzip", []byte("apiVersion: v2\n"), "not a gzip archive"},
		{"gzip of no tar", gzipped(t, bytes.Repeat([]byte("x"), 2048)), "invalid tar header"},
		{"cut in the gzip header", good[:5], "cut short"},
		{"cut in the middle", good[:len(good)/2], "cut short"},
		{"cut in the checksum", good[:len(good)-4], "cut short"},
		{"a changed byte", flipped, ""},
		{"something behind it", append(bytes.Clone(good), "PK\x03\x04 and more to come"...), "follows its end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(tt.archive, Limits{})
			require.ErrorIs(t, err, ErrBad)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

func TestReadArchiveLimits(t *testing.T) {
	noise := make([]byte, 20_000)
	rand.New(rand.NewSource(1)).Read(noise)
	small := Limits{Archive: 10_000, Content: 100_000, File: 50_000, Files: 10, Ratio: 1000}
	many := demo()
	for i := range 9 {
		many = append(many, special(fmt.Sprintf("demo/%d", i), tar.Header{Typeflag: tar.TypeDir}))
	}
	tests := []struct {
		name    string
		archive []byte
		limits  Limits
		says    string
	}{
		{"compressed", archiveOf(t, demo(file("demo/noise", string(noise)))...), small, "the archive has"},
		{"one file", archiveOf(t, demo(file("demo/x", strings.Repeat("x", 50_001)))...), small, `file "x" has 50001 bytes`},
		{"a file in charts/", archiveOf(t, demo(file("demo/charts/x.tgz", strings.Repeat("x", 50_001)))...), small, `file "charts/x.tgz"`},
		{"total", archiveOf(t, demo(file("demo/x", strings.Repeat("x", 49_000)), file("demo/y", strings.Repeat("y", 50_000)))...), small, "the unpacked archive has"},
		{"total behind the end of the tar", gzipped(t, tarOf(t, demo()...), make([]byte, 100_000)), small, "the unpacked archive has"},
		{"files", archiveOf(t, many...), small, "11 files and folders"},
		{"a bomb", archiveOf(t, demo(file("demo/x", strings.Repeat("x", 10<<20)))...), Limits{}, "over 200 times as much"},
		{"a bomb in a second gzip member", append(archiveOf(t, demo()...), gzipped(t, make([]byte, 10<<20))...), Limits{}, "over 200 times as much"},
		{"a bomb in a header", archiveOf(t, demo(special("demo/x", tar.Header{Typeflag: tar.TypeReg,
			PAXRecords: map[string]string{"HELM.x": strings.Repeat("x", 900_000)}}), file("demo/y", strings.Repeat("y", 300_000)))...), Limits{}, "over 200 times as much"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(tt.archive, tt.limits)
			require.ErrorIs(t, err, ErrTooLarge)
			assert.ErrorContains(t, err, tt.says)
		})
	}
}

// Reading an archive that claims, or even holds, 2 GiB stops within the limits, without reading or keeping it
// all.
func TestReadArchiveStopsEarly(t *testing.T) {
	r, w := io.Pipe()
	wrote := make(chan int64, 1)
	go func() {
		counted := &meter{check: func(int64) error { return nil }}
		gz := gzip.NewWriter(writerFunc(func(p []byte) (int, error) {
			counted.n += int64(len(p))
			return w.Write(p)
		}))
		tw := tar.NewWriter(gz)
		err := tw.WriteHeader(&tar.Header{Name: "demo/x", Typeflag: tar.TypeReg, Size: 2 << 30})
		noise := rand.New(rand.NewSource(1))
		for err == nil {
			_, err = io.CopyN(tw, noise, 1<<20)
		}
		wrote <- counted.n
	}()
	limits := Limits{}
	limits.File, limits.Archive = 4<<30, 1<<20
	_, err := readArchive(r, limits)
	r.Close()
	require.ErrorIs(t, err, ErrTooLarge)
	assert.Less(t, <-wrote, limits.Archive+2<<20)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestReadFromDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.tgz")
	require.NoError(t, os.WriteFile(path, archiveOf(t, demo()...), 0o600))
	got, err := Read(path, Options{})
	require.NoError(t, err)
	assert.Equal(t, Values{"replicas": int64(2), "image": map[string]any{"tag": int64(1)}}, got.Values)

	folder, err := Read("../testdata/charts/stack", Options{})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"enabled": true, "maxMemory": "128mb"}, folder.Values["cache"], "without the defaults of the dependency")

	for _, path := range []string{"testdata/missing", "http://127.0.0.1/demo.tgz", ""} {
		_, err := Read(path, Options{})
		assert.ErrorIs(t, err, ErrNotFound, path)
	}
	_, err = Read("../testdata/charts", Options{})
	require.ErrorIs(t, err, ErrNotFound)
	assert.ErrorContains(t, err, "no Chart.yaml")
}

func FuzzReadArchive(f *testing.F) {
	f.Add(tarOf(f, demo()...))
	f.Add(tarOf(f, file(`demo\Chart.yaml`, demoChart), special("demo/x", tar.Header{Typeflag: tar.TypeSymlink, Linkname: "/"})))
	f.Add(tarOf(f, special("g", tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "x"}})))
	f.Add([]byte("\x1f\x8b\x08"))
	limits := Limits{Archive: 1 << 20, Content: 1 << 20, File: 1 << 19, Files: 100, Ratio: 200}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, archive := range [][]byte{data, gzipped(t, data)} {
			got, err := readBytes(archive, limits)
			if err != nil {
				require.Nil(t, got)
				continue
			}
			require.NoError(t, got.Metadata.Validate())
			require.LessOrEqual(t, len(got.Files), limits.Files)
			for _, name := range got.Files {
				require.True(t, filepath.IsLocal(filepath.FromSlash(name)), "%q stays in the folder", name)
			}
		}
	})
}

func readArchive(r io.Reader, limits Limits) (*Chart, error) {
	parts := newParts(limits.withDefaults(), nil)
	if err := parts.readArchive("demo.tgz", r); err != nil {
		return nil, err
	}
	return parts.chart("demo.tgz")
}

func TestFileNamesOfAnyLanguage(t *testing.T) {
	c, err := readBytes(archiveOf(t, demo(file("demo/templates/配置 é.yaml", ""))...), Limits{})
	require.NoError(t, err)
	assert.Contains(t, c.Files, "templates/配置 é.yaml")
}
