package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/internal/redact"
)

// Signature says who signed a chart, as helm verified it.
type Signature struct {
	Fingerprint string // of the key
	SignedBy    string // the name of the key in the keyring
}

var signaturesBound = home.Bound{Bytes: 16 << 20, Entries: 8000}

const (
	maxKeyring    = 16 << 20
	maxProvenance = 1 << 20
	// keptVerdicts is how long it is believed that a keyring verifies a signature: a key can expire.
	keptVerdicts = 24 * time.Hour
)

// keyring is a file of public keys, read once, so that what is remembered belongs to the keys that helm read.
type keyring struct {
	path string
	text []byte

	refuted string // the digest of the archive whose kept provenance it does not verify
}

// readKeyring reads the keyring at a path, and is nil for none.
func readKeyring(path string) (*keyring, error) {
	if path == "" {
		return nil, nil
	}
	if err := argument.AbsolutePath("Keyring", &path); err != nil {
		return nil, err
	}
	text, err := readAtMost(path, maxKeyring)
	switch {
	case err != nil:
		return nil, errdef.Invalidf("Keyring: %w", err)
	case len(text) == 0:
		return nil, errdef.Invalidf("Keyring %s is empty: export the public keys into it with gpg --export", path)
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")):
		return nil, errdef.Invalidf("Keyring %s is text, which Helm 3 cannot read: export it with gpg --export, without --armor", path)
	}
	return &keyring{path: path, text: text}, nil
}

func readAtMost(path string, limit int64) ([]byte, error) {
	// Before it is opened: opening a pipe waits for its writer.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errdef.TooLarge(path, int64(len(text)), limit, "bytes")
	}
	return text, err
}

// verdict is what is kept of a verification.
type verdict struct {
	Signature
	At time.Time
}

// verdictKey has what decides a verification: the archive and the keys. That an archive was verified with other keys
// means nothing.
func (k *keyring) verdictKey(digest string) string {
	sum := sha256.Sum256(k.text)
	return "verdict " + digest + " " + hex.EncodeToString(sum[:])
}

func provenanceKey(digest string) string { return "provenance " + digest }

// vouched reports whether an archive of the cache has a signature that a request wants, and adds that. Where it was not
// verified with this keyring, helm does that now, with the provenance that was kept.
func (s *Store) vouched(ctx context.Context, w want, ch *Chart) bool {
	if w.keys == nil {
		return true
	}
	if text, ok := s.signatures.Get(w.keys.verdictKey(ch.Digest)); ok {
		var v verdict
		err := json.Unmarshal(text, &v)
		if age := time.Since(v.At); err == nil && age >= 0 && age <= keptVerdicts {
			ch.Signature = &v.Signature
			return true
		}
	}
	provenance, ok := s.signatures.Get(provenanceKey(ch.Digest))
	if !ok || w.keys.refuted == ch.Digest {
		return false
	}
	if s.verify(ctx, w, ch, provenance) != nil {
		w.keys.refuted = ch.Digest
		return false
	}
	return true
}

// verify lets helm verify a chart's archive by its provenance, and adds the signature to the chart. A verified one is
// remembered.
func (s *Store) verify(ctx context.Context, w want, ch *Chart, provenance []byte) error {
	tmp, err := s.home.MkdirTemp("verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	// A provenance names its archive by the file that "helm package" made. What was fetched can have another name.
	archive := filepath.Join(tmp, filepath.Base(ch.Metadata.Name+"-"+ch.Metadata.Version+".tgz"))
	keys := filepath.Join(tmp, "keys")
	if err := home.CopyFile(ch.Path, archive); err != nil {
		return err
	}
	for file, text := range map[string][]byte{archive + ".prov": provenance, keys: w.keys.text} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
	}
	out, err := s.helm.Fetch(ctx, Call{
		Args: []string{"verify", "--keyring=" + keys, "--", archive}, Subject: w.String(),
		Dir: tmp, MaxBytes: s.limits.Archive + int64(len(w.keys.text)), Kind: errdef.ErrUnverified,
	})
	if err != nil {
		return fmt.Errorf("%w; wanted is a signature of exactly this archive by a key in %s: ask its author, or add the author's public key", err, w.keys.path)
	}
	fingerprint, signedBy, digest := helmtext.Verified(string(out))
	if digest != ch.Digest || fingerprint == "" {
		return fmt.Errorf("%w: chart %s: helm verified %q, and the archive is %s", errdef.ErrUnverified, w, digest, ch.Digest)
	}
	v := verdict{Signature{fingerprint, redact.Printable(signedBy)}, time.Now()}
	ch.Signature = &v.Signature
	s.signatures.Put(provenanceKey(ch.Digest), provenance)
	if text, err := json.Marshal(v); err == nil {
		s.signatures.Put(w.keys.verdictKey(ch.Digest), text)
	}
	return nil
}

// verifyLocal verifies a chart at a path of the caller: its provenance is beside it.
func (s *Store) verifyLocal(ctx context.Context, w want, ch *Chart) error {
	switch {
	case w.keys == nil || s.Owns(ch.Path, ch.Digest) && s.vouched(ctx, w, ch):
		return nil
	case ch.Digest == "":
		return fmt.Errorf("%w: %s is a folder, and only an archive can be signed: make one with helm package --sign", errdef.ErrUnverified, w)
	}
	provenance, err := readAtMost(ch.Path+".prov", maxProvenance)
	if err != nil {
		return unsigned(w, err.Error())
	}
	return s.verify(ctx, w, ch, provenance)
}

// withoutProvenance is the error of a pull that got no provenance, for the reason that helm gave: a source that refuses it does
// not say that there is none.
func withoutProvenance(w want, why string) error {
	if kind, _ := helmtext.KindOf("Error: "+why, true); errors.Is(kind, errdef.ErrUnauthorized) {
		return fmt.Errorf("%w: the provenance of chart %s: %s; give credentials that may read the file .prov beside the archive, or ask its owner: some refuse a file that is not there", kind, w, why)
	}
	return unsigned(w, why)
}

// unsigned is the error of a chart without a provenance.
func unsigned(w want, why string) error {
	text := fmt.Sprintf("chart %s has no signature that helm could fetch", w)
	if why != "" {
		text += ": " + why
	}
	return fmt.Errorf("%w: %s; ask its author for one (helm package --sign, and publish the file .prov beside the archive), or fetch it without a Keyring", errdef.ErrUnverified, text)
}
