package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/redact"
)

// pulled is what helm has pulled.
type pulled struct {
	archive    string // its path
	manifest   string // in a registry, the digest of the manifest, if helm prints that
	provenance []byte // if a signature is wanted, and the source has one
	unsigned   string // why there is none, if helm prints that
}

// pull lets helm pull a wanted archive into an empty folder in tmp.
func (s *Store) pull(ctx context.Context, w want, tmp string) (got pulled, err error) {
	dest := filepath.Join(tmp, "archive")
	if err := os.Mkdir(dest, 0o700); err != nil {
		return got, err
	}
	call, err := s.pullCall(ctx, w, dest)
	defer call.Via.Stop()
	if err != nil {
		return got, fmt.Errorf("chart %s: %w", w, err)
	}
	// Helm's own chart caches are shared by file name or by an unproven digest: none is used.
	call.Env = append(call.Env, "HELM_CONTENT_CACHE="+filepath.Join(tmp, "content"))
	call.Subject, call.Dir, call.FetchedTo, call.MaxBytes, call.Kind = w.String(), tmp, dest, s.limits.Archive, errdef.ErrRepoNotFound
	if w.keys != nil {
		call.Lacks = lacksProvenance
	}
	var said string
	call.Stderr = &said
	out, err := s.helm.Fetch(ctx, call)
	if err != nil {
		return got, err
	}
	files, err := os.ReadDir(dest)
	if err != nil {
		return got, err
	}
	var names []string
	regular := true
	for _, f := range files {
		names = append(names, f.Name())
		regular = regular && f.Type().IsRegular()
	}
	if signed := w.keys != nil && len(names) == 2 && names[1] == names[0]+".prov"; !regular || len(names) != 1 && !signed {
		return got, fmt.Errorf("helm pull %s: want one archive, got %d files: %q", w, len(names), names)
	} else if signed {
		if got.provenance, err = readAtMost(filepath.Join(dest, names[1]), maxProvenance); err != nil {
			return got, err
		}
	}
	said = string(out) + "\n" + said // on stdout or stderr, as the version of helm has it
	if w.kind == fromOCI {
		got.manifest = helmtext.PulledDigest(said)
	}
	got.archive, got.unsigned = filepath.Join(dest, names[0]), redact.Redactor(call.Secrets)(call.Via.Speak(helmtext.Unsigned(said)))
	return got, nil
}

// lacksProvenance is why helm did not get a provenance, if that may pass: an archive may then be signed, so it is no unsigned one.
func lacksProvenance(stdout, stderr string) string {
	why := helmtext.Unsigned(stdout + "\n" + stderr)
	if _, passes := helmtext.KindOf("Error: "+why, true); !passes {
		return ""
	}
	return "provenance: " + why
}

// pullCall is how helm pulls a wanted archive into dest.
func (s *Store) pullCall(ctx context.Context, w want, dest string) (Call, error) {
	switch w.kind {
	case fromOCI:
		return Call{Args: w.pullArgs(w.ref, w.version, w.source.digest, dest, w.opts)}, nil
	case fromArchive:
		return s.pullURL(w, dest)
	}
	// Read again: waiting for our turn may have taken minutes since the call began.
	from, err := s.known(ctx, w.repo)
	if err == nil && from.URL != w.from.URL {
		err = fmt.Errorf("%w: the name %q was given to another repository meanwhile", errdef.ErrRepoNotFound, w.repo)
	}
	if err != nil {
		return Call{}, err
	}
	w.entry.Name = w.chart
	return s.pullEntry(w, from, w.entry, dest)
}

// pullURL pulls one archive by its URL, as the only chart of a repository that we make up.
func (s *Store) pullURL(w want, dest string) (Call, error) {
	u, err := url.Parse(w.ref)
	if err != nil {
		return Call{}, errdef.Invalidf("chart address: not a URL")
	}
	from := repository{
		Name: "archive", URL: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path.Dir(u.Path)}).String(),
		Access: Access{
			Username: u.User.Username(), CAFile: w.opts.CAFile, CertFile: w.opts.CertFile, KeyFile: w.opts.KeyFile,
			InsecureSkipTLSVerify: w.opts.InsecureSkipTLSVerify,
		},
	}
	from.Password, _ = u.User.Password()
	u.User = nil
	call, err := s.pullEntry(w, from, chart.Version{Name: "archive", Version: "0.0.0", URLs: []string{u.String()}}, dest)
	call.Secrets = append(call.Secrets, w.secrets()...)
	return call, err
}

// pullEntry pulls one archive of a repository, from an index of this one entry: helm would parse the whole
// index otherwise. Helm gets no credentials of the repository. It looks for a provenance at the end of the whole URL, also
// behind a query, so it does not get such a URL either.
func (s *Store) pullEntry(w want, from repository, entry chart.Version, dest string) (call Call, err error) {
	tmp := filepath.Dir(dest)
	asked := from
	asked.Username, asked.Password, asked.Token = "", "", ""
	call.Secrets = from.secrets()
	login := from.authorization() != ""
	if target := from.archiveURL(entry); target != "" && (login || w.keys != nil && strings.Contains(target, "?")) {
		if login {
			call.Login = LoginWithheld
			if from.PassCredentialsAll || from.isHost(target) {
				call.Login = LoginGiven
			}
		}
		name := "archive.tgz"
		if m := archiveName().FindStringSubmatch(target); m != nil {
			name = m[1] // as helm would call it
		}
		if call.Via, err = s.relay(from, target, name); err != nil {
			return call, err
		}
		asked, entry.URLs = repository{Name: from.Name, URL: call.Via.url}, []string{call.Via.served}
	}
	// The only option of a repository that helm's pull does not read from its configuration.
	opts := Source{InsecureSkipTLSVerify: asked.InsecureSkipTLSVerify}
	call.Args = w.pullArgs(from.Name+"/"+entry.Name, entry.Version, "", dest, opts)
	config := filepath.Join(tmp, "repositories.yaml")
	if err := writeRepositories(config, asked); err != nil {
		return call, err
	}
	call.Env, err = stageIndex(tmp, from.Name, config, entry)
	return call, err
}

func (w want) pullArgs(ref, version, digest, dir string, opts Source) []string {
	f := flags{"pull", "--destination=" + dir}
	f.is("--prov", w.keys != nil)
	if digest != "" {
		ref += "@" + digest
	} else {
		f.str("--version", version)
	}
	return append(append(f, opts.Flags()...), "--", ref)
}

var archiveName = pattern.New(`/([A-Za-z0-9][-A-Za-z0-9._+]*\.tgz)(?:\?.*)?$`)

// stageIndex writes an index of one entry and points helm at it.
func stageIndex(tmp, repo, config string, entry chart.Version) (env []string, err error) {
	text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "entries": map[string]any{entry.Name: []chart.Version{entry}}})
	if err != nil {
		return nil, err
	}
	at := place{config: config, index: filepath.Join(tmp, "index", repo+"-index.yaml")}
	if err := os.Mkdir(filepath.Dir(at.index), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return at.env(), os.WriteFile(at.index, text, 0o600)
}
