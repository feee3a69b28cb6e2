package helmtest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// Who has signed the charts of every repository and registry, as Signature says it.
const (
	SignedBy    = "Ann <ann@charts.example>"
	Fingerprint = "A1B2C3D4E5F60718293A4B5C6D7E8F9001122334"
)

// AddChart packages the chart in a folder and puts the archive into every repository and registry, as AddArchive does.
func (f *Fake) AddChart(folder string) {
	f.t.Helper()
	archive, err := chartrepo.PackageDir(folder, "")
	if err != nil {
		f.t.Fatalf("helmtest: %s: %v", folder, err)
	}
	f.AddArchive(archive.Filename(), archive.Data)
}

// Keyring writes a file of public keys, for Config or SourceOptions. Every archive that helm verifies is signed with one of
// them, if no play says otherwise.
func (f *Fake) Keyring() string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "keyring.gpg")
	if err := os.WriteFile(path, []byte{0x98, 0x33, 0x04}, 0o600); err != nil { // as a packet of a public key begins
		f.t.Fatalf("helmtest: %v", err)
	}
	return path
}

// BadSignature is a way in which a chart is not signed, by the name of the recording of it.
type BadSignature string

const (
	NoSignature  BadSignature = "none"                 // the source has none beside the archive
	UnknownKey   BadSignature = "verify-unknown-key"   // the key is not in the keyring
	OtherArchive BadSignature = "verify-other-archive" // the archive is not the one that was signed
)

// Unverified lets the next chart that helm verifies have a bad signature; NoSignature is for charts of repositories and
// registries. A folder, and an archive of a path without a file ".prov" beside it, need no play.
//
// helmexec: ErrUnverified.
func (f *Fake) Unverified(why BadSignature) {
	if why == NoSignature {
		f.play("Unverified", 1, func(c Call) bool { return c.Command() == "pull" && c.Flag("--prov") != "" }, func(c Call) Reply {
			reply := f.Perform(c)
			maps.DeleteFunc(reply.Files, func(name string, _ []byte) bool { return filepath.Ext(name) == ".prov" })
			reply.Stdout += f.noProvenance(c)
			return reply
		})
		return
	}
	f.play("Unverified", 1, is("verify"), func(c Call) Reply { return f.said(string(why), "plain-1.0.0.tgz", filepath.Base(c.Arg(0))) })
}

// verify answers that an archive is signed.
func (f *Fake) verify(c Call) Reply {
	archive, err := os.ReadFile(c.Arg(0))
	if err != nil {
		return failure("%v", err)
	}
	return Reply{Stdout: fmt.Sprintf("Signed by: %s\nUsing Key With Fingerprint: %s\nChart Hash Verified: sha256:%x\n", SignedBy, Fingerprint, sha256.Sum256(archive))}
}

// noProvenance is the line in which a pull says that the source has no provenance.
func (f *Fake) noProvenance(c Call) string {
	scene := "pull-unsigned"
	if strings.HasPrefix(c.Arg(0), "oci://") {
		scene = "oci-unsigned"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(f.recorded("stdout", scene, "x/web", c.Arg(0), "oci://127.0.0.1:8080/charts/web", c.Arg(0))) {
		if strings.HasPrefix(line, "WARNING: ") {
			return line
		}
	}
	return ""
}
