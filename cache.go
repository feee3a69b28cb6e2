package helmexec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/filelock"
	"github.com/sut-bench/helmexec/internal/home"
)

// keptAtLeast is how long an archive stays after it was last asked for, so that a caller of Fetch
// can use its path.
const keptAtLeast = 10 * time.Minute

// keptPins is how long it is remembered which archive a source gave. After that it is asked again.
const keptPins = 30 * 24 * time.Hour

// pin remembers which archive a source gave.
type pin struct {
	Digest string
	At     time.Time // when the pull began
}

func (h *Helm) pinFile(key string) string {
	sum := sha256.Sum256([]byte(key))
	return h.home.Path("pins", hex.EncodeToString(sum[:16])+".json")
}

func (h *Helm) readPin(key string) (p pin, ok bool) {
	text, err := os.ReadFile(h.pinFile(key))
	if err != nil || json.Unmarshal(text, &p) != nil || !sha256Digest.MatchString(p.Digest) || time.Since(p.At) > keptPins {
		return pin{}, false
	}
	return p, true
}

// archive is the place of an archive in the cache, named by its content.
func (h *Helm) archive(digest string) string {
	return h.home.Path("archives", strings.TrimPrefix(digest, "sha256:")+".tgz")
}

// kept opens an archive of the cache and marks it as used. It is nil where the archive is not there or
// is not what its name says.
func (h *Helm) kept(ctx context.Context, src chartSource, digest string) *Chart {
	path := h.archive(digest)
	lock, err := filelock.Take(ctx, path, filelock.Shared|filelock.Existing)
	if err != nil {
		return nil
	}
	defer lock.Release()
	now := time.Now()
	if os.Chtimes(path, now, now) != nil {
		return nil
	}
	ch, err := h.openChart(src, path)
	if err != nil || ch.Digest != digest {
		return nil
	}
	return ch
}

// cached gives the archive that the pin of key names when valid takes it, and else lets helm pull.
// stage puts beside a folder what helm needs to pull into that, and says how. want is a digest that
// the archive must have, "" for any.
func (h *Helm) cached(ctx context.Context, key string, src chartSource, valid func(pin) bool,
	stage func(dest string) (invocation, error), want string) (*Chart, error) {
	look := func() *Chart {
		if p, ok := h.readPin(key); ok && valid(p) {
			return h.kept(ctx, src, p.Digest)
		}
		return nil
	}
	if ch := look(); ch != nil {
		return ch, nil
	}
	shown := strings.TrimSpace(src.shown + " " + src.version + src.digest)
	unlock, err := h.home.Lock(ctx, "chart "+shown)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if ch := look(); ch != nil {
		return ch, nil // somebody pulled it while we waited
	}
	began := time.Now()
	tmp, err := h.home.MkdirTemp("pull-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	dest := filepath.Join(tmp, "archive")
	if err := os.Mkdir(dest, 0o700); err != nil {
		return nil, err
	}
	inv, err := stage(dest)
	defer inv.via.stop()
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", shown, err)
	}
	inv.subject = shown
	pulled, err := h.pull(ctx, tmp, dest, inv)
	if err != nil {
		return nil, err
	}
	ch, err := h.openChart(src, pulled)
	if err != nil {
		return nil, err
	}
	if want != "" && ch.Digest != want {
		return nil, fmt.Errorf("%w: chart %s: the index says %s and the archive is %s", ErrDigestMismatch, shown, want, ch.Digest)
	}
	if same := h.kept(ctx, src, ch.Digest); same != nil {
		ch = same // another source has the same archive, which somebody may be using
	} else {
		ch.Path = h.archive(ch.Digest)
		if err := errors.Join(os.Chmod(pulled, 0o600), os.Rename(pulled, ch.Path)); err != nil {
			return nil, err
		}
		h.evict()
	}
	text, _ := json.Marshal(pin{ch.Digest, began})
	return ch, home.WriteFile(h.pinFile(key), text)
}

// pull lets helm pull into dest, an empty folder where nothing else can be taken for the archive,
// and gives the path of the one file there.
func (h *Helm) pull(ctx context.Context, tmp, dest string, inv invocation) (string, error) {
	// Helm's own chart caches are shared by file name or by an unproven digest: none is used.
	inv.env = append(inv.env, "HELM_CONTENT_CACHE="+filepath.Join(tmp, "content"))
	if err := sourceFailed(h.fetching(ctx, inv, tmp, h.cfg.Limits.Archive)); err != nil {
		return "", err
	}
	files, err := os.ReadDir(dest)
	if err != nil {
		return "", err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if len(files) != 1 || !files[0].Type().IsRegular() {
		return "", fmt.Errorf("helm pull %s: want one archive, got %d files: %q", inv.subject, len(names), names)
	}
	return filepath.Join(dest, names[0]), nil
}

// sourceFailed gives an error of a fetch the kind ErrRepoNotFound, whatever kept the server from
// serving, unless it has a kind or is not the server's.
func sourceFailed(err error) error {
	if e := (*Error)(nil); errors.As(err, &e) && e.kind == nil && e.cause == nil && e.Signal == "" && !ownFault.MatchString(e.Stderr) {
		e.kind = ErrRepoNotFound
	}
	return err
}

// ownFault is what keeps helm from writing what it has fetched.
var ownFault = regexp.MustCompile(`no space left on device|disk quota exceeded|permission denied|read-only file system`)

// fetching runs a helm that fetches into the folder dir, with its retries, within Limits.
func (h *Helm) fetching(ctx context.Context, inv invocation, dir string, limit int64) error {
	inv.limits = &processLimits{memory: h.cfg.Limits.Memory, fetch: &fetchLimits{dir: dir, bytes: limit}}
	inv.atMost, inv.late = h.cfg.Limits.Time, fmt.Errorf("%w: over %v", ErrFetchTimeout, h.cfg.Limits.Time)
	return h.retry(ctx, func() error {
		_, err := h.run(ctx, inv)
		return err
	})
}

// stageEntry makes helm pull one version of a chart of a repository.
func (h *Helm) stageEntry(ctx context.Context, src chartSource, repoURL string, entry ChartVersion, dest string) (inv invocation, err error) {
	// Not what was known when the call began: waiting for its turn may have taken minutes.
	from, err := h.known(ctx, src.repo)
	if err == nil && from.URL != repoURL {
		err = fmt.Errorf("%w: %q was given to another one meanwhile", ErrRepoNotFound, src.repo)
	}
	if err != nil {
		return inv, err
	}
	entry.Name = src.chart
	return h.stage(from, entry, dest)
}

// stageURL makes helm pull one archive by its URL, as the only chart of a repository of our own making.
func (h *Helm) stageURL(src chartSource, dest string, opts SourceOptions) (inv invocation, err error) {
	u, err := url.Parse(src.ref)
	if err != nil {
		return inv, errdef.Invalidf("chart address: not a URL")
	}
	from := newRepoEntry("archive", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path.Dir(u.Path)}).String(), RepoOptions{
		Username: u.User.Username(), CAFile: opts.CAFile, CertFile: opts.CertFile, KeyFile: opts.KeyFile,
		InsecureSkipTLSVerify: opts.InsecureSkipTLSVerify,
	})
	from.Password, _ = u.User.Password()
	u.User = nil
	inv, err = h.stage(from, ChartVersion{Name: "archive", Version: "0.0.0", URLs: []string{u.String()}}, dest)
	inv.secrets = append(inv.secrets, src.secrets()...)
	return inv, err
}

// stage makes helm pull one archive of a repository, from an index of this one entry: helm would parse the
// whole index otherwise. It gets no credentials of the repository.
func (h *Helm) stage(from repoEntry, entry ChartVersion, dest string) (inv invocation, err error) {
	tmp := filepath.Dir(dest)
	asked := from
	asked.Username, asked.Password, asked.Token = "", "", ""
	inv.secrets = from.secrets()
	if target := from.archiveURL(entry); from.authorization() != "" && target != "" {
		inv.login = loginWithheld
		if from.PassCredentialsAll || from.isHost(target) {
			inv.login = loginGiven
		}
		name := "archive.tgz"
		if m := archiveName.FindStringSubmatch(target); m != nil {
			name = m[1] // as helm would call it
		}
		if inv.via, err = h.relay(from, target, name); err != nil {
			return inv, err
		}
		asked, entry.URLs = repoEntry{Name: from.Name, URL: inv.via.url}, []string{inv.via.served}
	}
	// The one thing of a repository that helm's pull does not read from its configuration.
	opts := SourceOptions{InsecureSkipTLSVerify: asked.InsecureSkipTLSVerify}
	inv.args = pullArgs(from.Name+"/"+entry.Name, entry.Version, "", dest, opts)
	config := filepath.Join(tmp, "repositories.yaml")
	if err := writeRepositories(config, asked); err != nil {
		return inv, err
	}
	inv.env, err = stageIndex(tmp, from.Name, config, entry)
	return inv, err
}

var archiveName = regexp.MustCompile(`/([A-Za-z0-9][-A-Za-z0-9._+]*\.tgz)(?:\?.*)?$`)

// stageIndex writes an index of one entry and points helm at it.
func stageIndex(tmp, repo, config string, entry ChartVersion) (env []string, err error) {
	text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "entries": map[string]any{entry.Name: []ChartVersion{entry}}})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(tmp, "index")
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return []string{"HELM_REPOSITORY_CONFIG=" + config, "HELM_REPOSITORY_CACHE=" + dir},
		os.WriteFile(filepath.Join(dir, repo+"-index.yaml"), text, 0o600)
}

// evict removes the archives that were not used for the longest time until the rest fits, but none
// that is in use. It also sweeps what killed callers left: temporary files and lock files, and the
// pins of charts that nobody may want any more.
func (h *Helm) evict() {
	type file struct {
		path string
		info fs.FileInfo
	}
	old := func(t time.Time, age time.Duration) bool { return time.Since(t) > age }
	h.home.Sweep()
	home.RemoveOlder(h.home.Path("pins"), keptPins)
	entries, _ := os.ReadDir(h.home.Path("archives"))
	var files []file
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, file{h.home.Path("archives", e.Name()), info})
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, f := range files {
		if total <= h.cfg.Limits.Cache || !old(f.info.ModTime(), keptAtLeast) {
			return
		}
		lock, err := filelock.Try(f.path, filelock.Exclusive|filelock.Existing)
		if err != nil {
			continue // it is in use
		}
		// Somebody may have used it since the folder was read.
		if info, err := os.Stat(f.path); err != nil || !old(info.ModTime(), keptAtLeast) {
			lock.Release()
		} else if lock.Remove() == nil {
			total -= f.info.Size()
		}
	}
}

// hold keeps an archive of the cache from being evicted until release is called.
func (h *Helm) hold(ctx context.Context, ch *Chart) (release func()) {
	if filepath.Dir(ch.Path) != h.home.Path("archives") {
		return func() {}
	}
	lock, err := filelock.Take(ctx, ch.Path, filelock.Shared|filelock.Existing)
	if err != nil {
		return func() {} // it is not there
	}
	return lock.Release
}
