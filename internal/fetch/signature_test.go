package fetch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/chartrepo"
	"github.com/sut-bench/helmexec/internal/errdef"
)

// In these tests a keyring is a list of owners, and a provenance is an owner, the name of a file and its digest.

func fingerprintOf(owner string) string {
	return fmt.Sprintf("%X", sha256.Sum256([]byte(owner)))[:40]
}

func provenance(owner string, a chartrepo.Archive) string {
	return owner + " " + a.Filename() + " sha256:" + a.Digest
}

// verifyAsHelm does what "helm verify" does.
func verifyAsHelm(call Call) ([]byte, error) {
	path := call.Args[len(call.Args)-1]
	keys, keysErr := os.ReadFile(strings.TrimPrefix(call.Args[1], "--keyring="))
	text, textErr := os.ReadFile(path + ".prov")
	archive, err := os.ReadFile(path)
	if err := errors.Join(keysErr, textErr, err); err != nil {
		return nil, err
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(archive))
	signed := strings.Fields(string(text))
	if !slices.Contains(strings.Fields(string(keys)), signed[0]) || signed[1] != filepath.Base(path) || signed[2] != digest {
		return nil, fmt.Errorf("%w: helm verify %s: no", call.Kind, call.Subject)
	}
	return fmt.Appendf(nil, "Signed by: %s\nUsing Key With Fingerprint: %s\nChart Hash Verified: %s\n", signed[0], fingerprintOf(signed[0]), digest), nil
}

// signers is a repository with the chart web 1.0.0 and its provenance.
type signers struct {
	*bench
	archive chartrepo.Archive
	mu      sync.Mutex
	signed  string // the provenance, "" for none
}

func newSigners(t *testing.T) *signers {
	t.Helper()
	s := &signers{bench: newBench(t)}
	s.headers = func(int) http.Header { return nil }
	s.add("web", "1.0.0")
	s.archive = s.archives["/web-1.0.0.tgz"]
	s.provenance = func(w http.ResponseWriter) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.signed == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, s.signed)
	}
	return s
}

func (s *signers) sign(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = text
}

// keyring writes the keyring of some owners.
func keyringOf(t testing.TB, owners ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.gpg")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(owners, "\n")), 0o600))
	return path
}

// gives fetches the chart with a keyring, and checks who signed it ("" = ErrUnverified) and how many helms that takes.
func (s *signers) gives(keyring, signedBy string, helms int) {
	s.Helper()
	before := s.helm.calls.Load()
	ch, err := s.s.Fetch(s.Context(), s.url+"/web:1.0.0", Options{Source: Source{Keyring: keyring}})
	assert.Equal(s, helms, int(s.helm.calls.Load()-before), "helms")
	switch {
	case signedBy == "" && keyring != "":
		require.ErrorIs(s, err, errdef.ErrUnverified)
		assert.NotContains(s, err.Error(), "%!")
	case keyring == "":
		require.NoError(s, err)
		assert.Nil(s, ch.Signature)
	default:
		require.NoError(s, err)
		assert.Equal(s, &Signature{fingerprintOf(signedBy), signedBy}, ch.Signature)
	}
}

// Neither an archive that nobody verified nor one that was verified with other keys is served to who wants a signature.
func TestSignaturesOfCachedArchives(t *testing.T) {
	s := newSigners(t)
	s.sign(provenance("ann", s.archive))
	ann, bob, both := keyringOf(t, "ann"), keyringOf(t, "bob"), keyringOf(t, "bob", "ann")
	s.gives("", "", 2) // add and pull
	s.gives(bob, "", 2)
	s.gives(ann, "ann", 2) // pull and verify: the cached archive has no provenance
	s.gives(ann, "ann", 0)
	s.gives(both, "ann", 1) // by the provenance that is kept
	s.gives(both, "ann", 0)
	s.gives(bob, "", 3) // by that, and by the one that the source has now
	s.gives("", "", 0)

	require.NoError(t, os.WriteFile(ann, []byte("bob"), 0o600)) // ann's key was taken out of her keyring
	s.gives(ann, "", 3)

	s.sign("")
	s.gives(both, "ann", 0)
	s.gives(bob, "", 2)
}

func TestSignaturesThatAreRefused(t *testing.T) {
	other, err := chartrepo.Package(map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\ndescription: changed\n"})
	require.NoError(t, err)
	for name, signed := range map[string]string{
		"no provenance":                  "",
		"of another owner":               "eve web-1.0.0.tgz sha256:%s",
		"of another archive":             provenance("ann", other),
		"of a file with another name":    "ann web-1.0.1.tgz sha256:%s",
		"a provenance that is too large": strings.Repeat("x", maxProvenance+1),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigners(t)
			if strings.Contains(signed, "%s") {
				signed = fmt.Sprintf(signed, s.archive.Digest)
			}
			s.sign(signed)
			_, err := s.s.Fetch(t.Context(), s.url+"/web:1.0.0", Options{Source: Source{Keyring: keyringOf(t, "ann")}})
			if len(signed) > maxProvenance {
				require.ErrorIs(t, err, errdef.ErrOutputTooLarge)
			} else {
				require.ErrorIs(t, err, errdef.ErrUnverified)
				assert.Contains(t, err.Error(), "web 1.0.0")
			}
			archives, err := os.ReadDir(s.s.home.Path("archives"))
			require.NoError(t, err)
			assert.Empty(t, archives, "what is not verified is not kept")
		})
	}
}

// A source that refuses to show a provenance does not say that there is none.
func TestProvenanceThatIsRefused(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		s := newSigners(t)
		s.provenance = func(w http.ResponseWriter) { w.WriteHeader(code) }
		_, err := s.s.Fetch(t.Context(), s.url+"/web:1.0.0", Options{Source: Source{Keyring: keyringOf(t, "ann")}})
		require.ErrorIs(t, err, errdef.ErrUnauthorized)
		require.NotErrorIs(t, err, errdef.ErrUnverified)
		assert.ErrorContains(t, err, http.StatusText(code))
	}
}

// A key can expire, so helm is asked again after some time.
func TestVerdictsExpire(t *testing.T) {
	s := newSigners(t)
	s.sign(provenance("ann", s.archive))
	path := keyringOf(t, "ann")
	s.gives(path, "ann", 3)
	keys, err := readKeyring(path)
	require.NoError(t, err)
	for _, at := range []time.Time{time.Now().Add(-keptVerdicts - time.Hour), time.Now().Add(time.Hour)} {
		s.s.signatures.Put(keys.verdictKey("sha256:"+s.archive.Digest), fmt.Appendf(nil, `{"Fingerprint":"0","SignedBy":"eve","At":%q}`, at.Format(time.RFC3339)))
		s.gives(path, "ann", 1)
	}
}

// The keyring of the Store is that of every call.
func TestKeyringOfTheStore(t *testing.T) {
	s := newSigners(t)
	s.sign(provenance("ann", s.archive))
	s.s.keyring = keyringOf(t, "bob")
	_, err := s.s.Fetch(t.Context(), s.url+"/web:1.0.0", Options{})
	require.ErrorIs(t, err, errdef.ErrUnverified)
	s.gives(keyringOf(t, "ann"), "ann", 2)

	ours := filepath.Join(t.TempDir(), "plan.tgz")
	require.NoError(t, os.WriteFile(ours, s.archive.Data, 0o600))
	_, err = s.s.Fetch(t.Context(), ours, Options{Ours: true})
	require.NoError(t, err)
}

// A chart on this machine has its provenance beside it.
func TestSignaturesOfLocalCharts(t *testing.T) {
	s := newSigners(t)
	opts := Options{Source: Source{Keyring: keyringOf(t, "ann")}}
	archive := filepath.Join(t.TempDir(), "download.tgz")
	require.NoError(t, os.WriteFile(archive, s.archive.Data, 0o600))
	_, err := s.s.Fetch(t.Context(), archive, opts)
	require.ErrorIs(t, err, errdef.ErrUnverified)
	require.NoError(t, os.WriteFile(archive+".prov", []byte(provenance("ann", s.archive)), 0o600))
	ch, err := s.s.Fetch(t.Context(), archive, opts)
	require.NoError(t, err)
	assert.Equal(t, "ann", ch.Signature.SignedBy)

	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "Chart.yaml"), []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n"), 0o600))
	_, err = s.s.Fetch(t.Context(), folder, opts)
	require.ErrorIs(t, err, errdef.ErrUnverified)

	// The path that Fetch gave.
	s.sign(provenance("ann", s.archive))
	ch, err = s.s.Fetch(t.Context(), s.url+"/web:1.0.0", opts)
	require.NoError(t, err)
	ch, err = s.s.Fetch(t.Context(), ch.Path, opts)
	require.NoError(t, err)
	assert.Equal(t, "ann", ch.Signature.SignedBy)
}

func TestKeyringsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "text": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for path, says := range map[string]string{"empty": "is empty", "text": "without --armor", "missing": "no such file", "": "is not a file"} {
		_, err := readKeyring(filepath.Join(dir, path))
		require.ErrorIs(t, err, errdef.ErrInvalidArgument)
		assert.ErrorContains(t, err, says)
	}
}

// Helm looks for a provenance behind the query of a URL, so the relay does it.
func TestProvenanceOfAURLWithAQuery(t *testing.T) {
	s := newSigners(t)
	s.entries["web"] = []chart.Version{{Name: "web", Version: "1.0.0", URLs: []string{s.url + "/web-1.0.0.tgz?token=s3cret"}, Digest: s.archive.Digest}}
	s.sign(provenance("ann", s.archive))
	s.gives(keyringOf(t, "ann"), "ann", 3)
	assert.Equal(t, "token=s3cret", s.last.Load().URL.RawQuery)
	assert.Equal(t, "/web-1.0.0.tgz.prov", s.last.Load().URL.Path)
}
