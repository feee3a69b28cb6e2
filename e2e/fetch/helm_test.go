package fetch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// helm runs the binary itself, with separate folders.
func (b *bed) helm(home string, args ...string) (string, error) {
	cmd := exec.CommandContext(b.ctx, b.Cfg.Binary, args...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// helmsChoice is the version that helm itself pulls, "" for none.
func (b *bed) helmsChoice(url, version string) string {
	b.Helper()
	home := b.TempDir()
	if out, err := b.helm(home, "repo", "add", "r", url); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	args := []string{"pull", "r/web", "--destination", home}
	if version != "" {
		args = append(args, "--version", version)
	}
	if _, err := b.helm(home, args...); err != nil {
		return ""
	}
	pulled, _ := filepath.Glob(filepath.Join(home, "*.tgz"))
	if len(pulled) != 1 {
		b.Fatalf("helm pulled %q", pulled)
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(pulled[0]), "web-"), ".tgz")
}
