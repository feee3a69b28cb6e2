package frame

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sut-bench/helmexec"
)

// A home is used wherever it is and whatever it is called, and refused if others can change it.
func TestHomes(t *testing.T) { tryAll(t, homes) }

var homes = []attempt{
	at("a space", "my home"), at("two spaces at the end", "home  "), at("quotes", `ho"me's`), at("a dollar", "$HOME"), at("a command", "$(evil)`evil`"), at("a percent sign", "100%s%n"),
	at("a comma", "a,b"), at("an equals sign", "a=b"), at("brackets", "[a]{b}*?"), at("a backslash", `a\b`), at("a dash", "-home"), at("a flag", "--kubeconfig=x"), at("another script", "家"),
	at("a colon", "a:b"), at("a line break", "a\nb"), at("a hash", "#home"), at("a tilde", "~"), at("a long path", strings.Repeat(strings.Repeat("a", 200)+"/", 5)),
	mode("its group may write", 0o770, helmexec.ErrInvalidArgument), mode("everybody may write", 0o777, helmexec.ErrInvalidArgument), mode("everybody may write, sticky", 0o777|os.ModeSticky, helmexec.ErrInvalidArgument),
	mode("others may read", 0o755, nil),
	{"a folder above that everybody may change", helmexec.ErrInvalidArgument, func(b *bed) error {
		open := b.open(0o777)
		return b.useHome(filepath.Join(open, "home"))
	}},
	{"a sticky folder above", nil, func(b *bed) error { return b.useHome(filepath.Join(b.open(0o777|os.ModeSticky), "home")) }},
	{"a folder above that others cannot enter", nil, func(b *bed) error {
		return b.useHome(filepath.Join(b.open(0o700), "a", "home"))
	}},
	{"another owner", helmexec.ErrInvalidArgument, func(b *bed) error {
		dir := filepath.Join(b.open(0o755), "home")
		b.Must(os.Mkdir(dir, 0o755))
		if err := os.Chown(dir, 12345, 12345); err != nil {
			b.Skip("only root gives files away")
		}
		return b.useHome(dir)
	}},
	{"a link", nil, func(b *bed) error {
		dir := b.open(0o755)
		b.Must(errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o700), os.Symlink("real", filepath.Join(dir, "home"))))
		return b.useHome(filepath.Join(dir, "home"))
	}},
	{"a link to a home that others can change", helmexec.ErrInvalidArgument, func(b *bed) error {
		dir := b.open(0o755)
		real := filepath.Join(dir, "real")
		b.Must(errors.Join(os.Mkdir(real, 0o700), os.Chmod(real, 0o777), os.Symlink(real, filepath.Join(dir, "home"))))
		return b.useHome(filepath.Join(dir, "home"))
	}},
	{"a link to nothing", helmexec.ErrInvalidArgument, func(b *bed) error {
		home := filepath.Join(b.open(0o755), "home")
		b.Must(os.Symlink("none", home))
		return b.useHome(home)
	}},
	{"a file", helmexec.ErrInvalidArgument, func(b *bed) error {
		home := filepath.Join(b.open(0o755), "home")
		b.Must(os.WriteFile(home, nil, 0o600))
		return b.useHome(home)
	}},
	{"archives that are a link elsewhere", helmexec.ErrInvalidArgument, func(b *bed) error {
		b.mayKeep = true // the other folder is not empty
		home := filepath.Join(b.open(0o755), "home")
		b.Must(errors.Join(os.Mkdir(home, 0o700), os.Symlink(canary.files, filepath.Join(home, "archives"))))
		return b.useHome(home)
	}},
	{"plugins in it", nil, func(b *bed) error {
		home := filepath.Join(b.open(0o755), "home")
		b.Must(os.MkdirAll(filepath.Join(home, "archives"), 0o700))
		b.Must(os.WriteFile(filepath.Join(home, "helmexec-home.txt"), nil, 0o600))
		b.Must(os.CopyFS(filepath.Join(home, "plugins"), os.DirFS(filepath.Join(canary.dir, "plugins"))))
		b.Must(os.CopyFS(filepath.Join(home, "user"), os.DirFS(filepath.Join(canary.dir, "home"))))
		return b.useHome(home)
	}},
	{"opened while it is used", helmexec.ErrInvalidArgument, func(b *bed) error {
		dir := b.open(0o755)
		b.Cfg.Home = filepath.Join(dir, "home")
		b.h = b.NewHelm(nil)
		b.Must(os.Chmod(b.Cfg.Home, 0o777))
		return b.useChart()
	}},
	{"a full disk", errAny, func(b *bed) error {
		dir := b.open(0o700)
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
			b.Skip("cannot mount: ", err)
		}
		b.Cleanup(func() { b.Must(syscall.Unmount(dir, syscall.MNT_DETACH)) })
		b.Cfg.Home = filepath.Join(dir, "home")
		b.h = b.NewHelm(nil)
		b.Must(fill(filepath.Join(dir, "full")))
		err := b.useChart()
		if errors.Is(err, helmexec.ErrReleaseBusy) || errors.Is(err, helmexec.ErrBadChart) {
			b.Errorf("a full disk is said to be %v", err)
		}
		b.Must(os.Remove(filepath.Join(dir, "full")))
		b.Must(b.useChart()) // and it goes on
		b.mayKeep = true
		return err
	}},
	{"no descriptors left", nil, func(b *bed) error {
		self, err := os.Executable()
		b.Must(err)
		chart := filepath.Join(b.TempDir(), "web-1.0.0.tgz")
		b.Must(os.WriteFile(chart, b.chart("web", "1.0.0", nil).Data, 0o600))
		cmd := exec.CommandContext(b.ctx, self)
		cmd.Env = append(os.Environ(), starvedVariable+"="+b.Cfg.Binary+"\n"+b.Cfg.Home+"\n"+chart)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}},
}

// at is the attempt to use a home of that name.
func at(what, name string) attempt {
	return attempt{what, nil, func(b *bed) error { return b.useHome(filepath.Join(b.open(0o755), name)) }}
}

func mode(what string, mode os.FileMode, want error) attempt {
	return attempt{what, want, func(b *bed) error {
		home := filepath.Join(b.open(0o755), "home")
		b.Must(errors.Join(os.Mkdir(home, 0o700), os.Chmod(home, mode)))
		return b.useHome(home)
	}}
}

// open is a folder with a mode, below folders that others can enter.
func (b *bed) open(mode os.FileMode) string {
	dir := b.TempDir()
	for above := dir; above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		b.Must(os.Chmod(above, 0o755))
	}
	open := filepath.Join(dir, "open")
	b.Must(errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, mode)))
	return open
}

// useHome uses a home in all ways that need no cluster.
func (b *bed) useHome(home string) (err error) {
	b.Cfg.Home = home
	if b.h, err = helmexec.New(b.Cfg); err != nil {
		return err
	}
	return b.useChart()
}

func (b *bed) useChart() error {
	archive := b.chart("web", "1.0.0", nil)
	url := b.serve(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".tgz") {
			_, _ = w.Write(archive.Data)
			return
		}
		_, _ = w.Write([]byte(plain("digest: " + archive.Digest)))
	})
	if err := b.fetched(url+"/web:1.0.0", helmexec.ChartOptions{}); err != nil {
		return err
	}
	_, err := b.h.Template(b.ctx, url+"/web:1.0.0", helmexec.TemplateOptions{})
	return err
}

// fill writes until the disk is full.
func fill(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 1024))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return f.Close()
}

// starvedVariable makes this program one that has no descriptors left, and says what it works with.
const starvedVariable = "HELMEXEC_STARVED"

// starve uses a home while all descriptors are taken, and again when they are free.
func starve() int {
	words := strings.Split(os.Getenv(starvedVariable), "\n")
	os.Unsetenv(starvedVariable)
	h, err := helmexec.New(helmexec.Config{Binary: words[0], Home: words[1]})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Println(err)
		return 1
	}
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	ctx := context.Background()
	if _, err := h.Template(ctx, words[2], helmexec.TemplateOptions{}); !errors.Is(err, syscall.EMFILE) {
		fmt.Println("without descriptors:", err)
		return 1
	}
	for _, f := range taken {
		f.Close()
	}
	if _, err := h.Template(ctx, words[2], helmexec.TemplateOptions{}); err != nil {
		fmt.Println("with descriptors:", err)
		return 1
	}
	return 0
}
