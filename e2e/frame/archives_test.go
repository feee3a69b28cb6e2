package frame

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
)

// An archive comes from its URL, and is looked at before anything else does.
func TestArchives(t *testing.T) { tryAll(t, archives) }

const chartYAML = "apiVersion: v2\nname: web\nversion: 1.0.0\n"

var archives = []attempt{
	packed("an honest one", nil, func(w *packer) {}),
	packed("a link up", helmexec.ErrBadChart, func(w *packer) { w.link(tar.TypeSymlink, "web/templates/x", "../../../etc/passwd") }),
	packed("a link to itself", helmexec.ErrBadChart, func(w *packer) { w.link(tar.TypeSymlink, "web/x", "x") }),
	packed("a hard link to the chart", helmexec.ErrBadChart, func(w *packer) { w.link(tar.TypeLink, "web/x", "web/Chart.yaml") }),
	packed("a pipe", helmexec.ErrBadChart, func(w *packer) { w.link(tar.TypeFifo, "web/x", "") }),
	packed("a block device", helmexec.ErrBadChart, func(w *packer) { w.link(tar.TypeBlock, "web/x", "") }),
	packed("a lock file that is a link", helmexec.ErrBadChart, func(w *packer) { w.link(tar.TypeSymlink, "web/Chart.lock", canary.program) }),
	packed("an unknown kind of entry", errAny, func(w *packer) { w.link('Z', "web/x", "") }),
	packed("two dots in the middle", helmexec.ErrBadChart, func(w *packer) { w.file("web/a/../../../x", "x") }),
	packed("a path with backslashes", helmexec.ErrBadChart, func(w *packer) { w.file(`web\..\..\x`, "x") }),
	packed("a drive", helmexec.ErrBadChart, func(w *packer) { w.file(`C:/web/x`, "x") }),
	packed("a name of two lines", helmexec.ErrBadChart, func(w *packer) { w.file("web/templates/a\nb.yaml", "x") }),
	packed("a name with an escape sequence", helmexec.ErrBadChart, func(w *packer) { w.file("web/\x1b]0;x\x07", "x") }),
	packed("a name that turns around", helmexec.ErrBadChart, func(w *packer) { w.file("web/\u202egpj.sh", "x") }),
	packed("the chart twice", helmexec.ErrBadChart, func(w *packer) { w.file("web/Chart.yaml", "apiVersion: v2\nname: evil\nversion: 1.0.0\n") }),
	packed("another folder beside it", errOrUs, func(w *packer) { w.file("evil/Chart.yaml", chartYAML) }),
	packed("a file of zeros", helmexec.ErrOutputTooLarge, func(w *packer) { w.file("web/files/a", strings.Repeat("\x00", 200<<20)) }),
	packed("very many files", helmexec.ErrOutputTooLarge, func(w *packer) {
		for i := range 100000 {
			w.file(fmt.Sprintf("web/files/%d", i), "")
		}
	}),
	packed("a very long name", errAny, func(w *packer) { w.file("web/"+strings.Repeat("a/", 50000)+"x", "x") }),
	packed("a size that is not there", helmexec.ErrOutputTooLarge, func(w *packer) {
		_ = w.WriteHeader(&tar.Header{Name: "web/x", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1 << 40})
	}),
	packed("values that expand", errAny, func(w *packer) {
		w.file("web/values.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n")
	}),
	packed("charts in a chart that are zeros", nil, func(w *packer) {
		bomb := pack(func(w *packer) {
			w.file("deep/Chart.yaml", "apiVersion: v2\nname: deep\nversion: 1.0.0\n")
			w.file("deep/a", strings.Repeat("\x00", 90<<20))
		})
		for i := range 4 {
			w.file(fmt.Sprintf("web/charts/deep-%d.tgz", i), string(bomb))
		}
	}),
	named("a chart called ..", "..", helmexec.ErrBadChart),
	named("a chart called .", ".", helmexec.ErrBadChart),
	named("a chart called as a path", "../../../evil", helmexec.ErrBadChart),
	named("a chart called as an absolute path", "/tmp/evil", helmexec.ErrBadChart),
	named("a chart called as a flag", "--post-renderer=x", nil),
	named("a chart with an escape sequence", `"web\x1b]0;x\x07"`, errAny),
	served("nothing", helmexec.ErrBadChart, nil),
	served("text", helmexec.ErrBadChart, []byte("hello")),
	served("a tar that is not compressed", helmexec.ErrBadChart, uncompressed()),
	served("compressed nothing", errAny, []byte(gzipped(""))),
	served("compressed text", helmexec.ErrBadChart, []byte(gzipped("hello hello hello"))),
	served("half of it", helmexec.ErrBadChart, pack(honest)[:80]),
	served("something behind it", errOrUs, append(pack(honest), "#!/bin/sh\nevil\n"...)),
	served("twice compressed", helmexec.ErrBadChart, []byte(gzipped(string(pack(honest))))),
	served("another format", helmexec.ErrBadChart, append([]byte("PK\x03\x04"), make([]byte, 100)...)),
	{"charts in a chart that are zeros, rendered", helmexec.ErrOutputTooLarge, func(b *bed) error {
		bomb := pack(func(w *packer) {
			w.file("deep/Chart.yaml", "apiVersion: v2\nname: deep\nversion: 1.0.0\n")
			w.file("deep/templates/a.yaml", "a: b")
			w.file("deep/a", strings.Repeat("\x00", 90<<20))
		})
		path := filepath.Join(b.TempDir(), "web-1.0.0.tgz")
		b.Must(os.WriteFile(path, pack(func(w *packer) {
			honest(w)
			for i := range 4 {
				w.file(fmt.Sprintf("web/charts/deep-%d.tgz", i), string(bomb))
			}
		}), 0o600))
		h := b.NewHelm(func(cfg *helmexec.Config) { cfg.Limits.RenderMemory = 300 << 20 })
		_, err := h.Template(b.ctx, path, helmexec.TemplateOptions{})
		return err
	}},
	{"a chart on disk whose templates are a pipe", helmexec.ErrBadChart, func(b *bed) error {
		path := filepath.Join(b.TempDir(), "web-1.0.0.tgz")
		b.Must(os.WriteFile(path, pack(func(w *packer) { honest(w); w.link(tar.TypeFifo, "web/templates/x.yaml", "") }), 0o600))
		_, err := b.h.Template(b.ctx, path, helmexec.TemplateOptions{})
		return err
	}},
}

// packer writes archives that no packer would write.
type packer struct{ *tar.Writer }

func (w *packer) file(name, text string) {
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))})
	_, _ = io.WriteString(w, text)
}

func (w *packer) link(kind byte, name, to string) {
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Linkname: to, Mode: 0o777})
}

func pack(write func(w *packer)) []byte {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	w := tar.NewWriter(zipped)
	write(&packer{w})
	_ = w.Close()
	_ = zipped.Close()
	return out.Bytes()
}

func honest(w *packer) {
	w.file("web/Chart.yaml", chartYAML)
	w.file("web/values.yaml", "maker: us\n")
}

func uncompressed() []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	honest(&packer{w})
	_ = w.Close()
	return out.Bytes()
}

// packed is the attempt to fetch an honest chart with something more.
func packed(name string, want error, more func(w *packer)) attempt {
	return download(name, want, func() []byte { return pack(func(w *packer) { honest(w); more(w) }) })
}

// named is the attempt to fetch a chart of that name.
func named(name, chart string, want error) attempt {
	return download(name, want, func() []byte {
		return pack(func(w *packer) {
			w.file("web/Chart.yaml", "apiVersion: v2\nname: "+chart+"\nversion: 1.0.0\n")
			w.file("web/values.yaml", "maker: us\n")
		})
	})
}

func served(name string, want error, data []byte) attempt {
	return download(name, want, func() []byte { return data })
}

func download(name string, want error, data func() []byte) attempt {
	expected := want
	if want == errOrUs {
		expected = nil
	}
	return attempt{name, expected, func(b *bed) error {
		data := data()
		url := b.serve(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(data) })
		err := b.fetched(url+"/web-1.0.0.tgz", helmexec.ChartOptions{})
		if want == errOrUs {
			b.Logf("%v", err)
			return nil
		}
		return err
	}}
}
