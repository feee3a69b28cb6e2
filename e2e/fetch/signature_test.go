package fetch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/registry"
	"github.com/sut-bench/helmexec/internal/chartrepo"
)

// signer has a key.
type signer struct {
	name           string
	secret, public string // keyrings
	fingerprint    string
}

func (b *bed) signer(name string) signer {
	b.Helper()
	entity, err := openpgp.NewEntity(name, "", strings.ToLower(name)+"@charts.example", nil)
	b.Must(err)
	var secret, public bytes.Buffer
	b.Must(entity.SerializePrivate(&secret, nil))
	b.Must(entity.Serialize(&public))
	dir := b.TempDir()
	s := signer{name, filepath.Join(dir, "secret.gpg"), filepath.Join(dir, "public.gpg"), fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint)}
	b.Must(os.WriteFile(s.secret, secret.Bytes(), 0o600))
	b.Must(os.WriteFile(s.public, public.Bytes(), 0o600))
	return s
}

// sign lets helm package and sign the chart web.
func (b *bed) sign(s signer, maker, version string) (archive chartrepo.Archive, path string) {
	b.Helper()
	dir := b.TempDir()
	folder := b.folder(map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: web\nversion: " + version + "\ndescription: x\n",
		"values.yaml": "maker: " + maker + "\n",
	})
	if out, err := b.helm(dir, "package", "--sign", "--key", s.name, "--keyring", s.secret, "--destination", dir, folder); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	path = filepath.Join(dir, "web-"+version+".tgz")
	data, err := os.ReadFile(path)
	b.Must(err)
	return chartrepo.Archive{Name: "web", Version: version, Data: data, Metadata: map[string]any{"name": "web", "version": version}}, path
}

// wantSigned fetches a chart with a keyring and checks who signed it; without a signer it has to be refused.
func (b *bed) wantSigned(address string, opts helmexec.ChartOptions, keyring string, by *signer) {
	b.Helper()
	opts.Source.Keyring = keyring
	info, err := b.NewHelm(nil).Chart2Info(b.ctx, address, opts)
	if by == nil {
		b.wantErr(err, helmexec.ErrUnverified)
		b.Log(err)
		return
	}
	b.Must(err)
	if info.Signature == nil || info.Signature.Fingerprint != by.fingerprint || !strings.Contains(info.Signature.SignedBy, "@charts.example") {
		b.Errorf("%s: signed by %+v, want the key %s", address, info.Signature, by.fingerprint)
	}
}

// A chart is served to a caller with a keyring only if a key of it has signed what is served, whatever the cache has.
func TestSignedCharts(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		ann, bob := b.signer("Ann"), b.signer("Bob")
		unsigned, changed := b.chart("web", "2.0.0", "nobody"), b.chart("web", "3.0.0", "eve")
		// signed are other bytes for each source: a signature of the same archive counts, wherever it comes from.
		signed := func(maker string) (archive chartrepo.Archive, path string, provenance, provenanceOfChanged []byte) {
			b.Helper()
			archive, path = b.sign(ann, maker, "1.0.0")
			_, other := b.sign(ann, maker, "3.0.0")
			provenance, err := os.ReadFile(path + ".prov")
			b.Must(err)
			provenanceOfChanged, err = os.ReadFile(other + ".prov")
			b.Must(err)
			return archive, path, provenance, provenanceOfChanged
		}
		plain := helmexec.ChartOptions{Source: helmexec.SourceOptions{PlainHTTP: true}}
		publish := func(repo *chartrepo.Server, maker string) string {
			b.Helper()
			archive, _, provenance, provenanceOfChanged := signed(maker)
			b.Must(repo.Add(archive, unsigned, changed))
			repo.AddProvenance(archive, provenance)
			repo.AddProvenance(changed, provenanceOfChanged)
			return repo.URL + "/web"
		}
		open := publish(b.repository(chartrepo.Options{}), "one")
		locked := publish(b.repository(chartrepo.Options{Username: user, Password: first}), "two")
		_, err := b.h.AddRepo(b.ctx, strings.TrimSuffix(locked, "/web"), helmexec.RepoOptions{Username: user, Password: first})
		b.Must(err)
		r := b.registry(registry.Options{User: user, Password: first})
		b.Must(b.h.RegistryLogin(b.ctx, r.Address, helmexec.RegistryOptions{Username: user, Password: first, Source: plain.Source}))
		_, path, _, provenanceOfChanged := signed("three")
		files := b.TempDir()
		b.Must(os.WriteFile(filepath.Join(files, "unsigned.tgz"), unsigned.Data, 0o600))
		b.Must(os.WriteFile(filepath.Join(files, "web-3.0.0.tgz"), changed.Data, 0o600))
		b.Must(os.WriteFile(filepath.Join(files, "web-3.0.0.tgz.prov"), provenanceOfChanged, 0o600))
		for _, file := range []string{path, filepath.Join(files, "unsigned.tgz"), filepath.Join(files, "web-3.0.0.tgz")} {
			_, err := b.h.Push(b.ctx, file, "oci://"+r.Address+"/charts", plain.Source)
			b.Must(err)
		}

		for _, source := range []struct {
			address, maker string
			opts           helmexec.ChartOptions
		}{{open, "one", helmexec.ChartOptions{}}, {locked, "two", helmexec.ChartOptions{}}, {"oci://" + r.Address + "/charts/web", "three", plain}} {
			address, opts := source.address, source.opts
			b.wantMaker(b.h, address+":1.0.0", opts, source.maker) // now in the cache, and not verified
			b.processes.take()
			b.wantSigned(address+":1.0.0", opts, bob.public, nil)
			b.wantProcesses("pull", "verify")
			b.wantSigned(address+":1.0.0", opts, ann.public, &ann)
			b.processes.take()
			b.wantSigned(address+":1.0.0", opts, ann.public, &ann)
			b.wantProcesses()
			b.wantSigned(address+":1.0.0", opts, bob.public, nil)
			b.wantMaker(b.h, address+":2.0.0", opts, "nobody")
			b.processes.take()
			b.wantSigned(address+":2.0.0", opts, ann.public, nil)
			b.wantSigned(address+":3.0.0", opts, ann.public, nil)
		}

		b.wantSigned(open+"-1.0.0.tgz", helmexec.ChartOptions{}, ann.public, &ann)
		b.wantSigned(open+"-2.0.0.tgz", helmexec.ChartOptions{}, ann.public, nil)
		b.wantSigned(path, helmexec.ChartOptions{}, ann.public, &ann)
		b.wantSigned(path, helmexec.ChartOptions{}, bob.public, nil)
		b.wantClean()
	})
}

// The digest of a manifest pins a chart: its tag may be moved.
func TestManifestDigest(t *testing.T) {
	onBothHelms(t, func(b *bed) {
		ann := b.signer("Ann")
		r := b.registry(registry.Options{})
		plain := helmexec.SourceOptions{PlainHTTP: true}
		_, path := b.sign(ann, "Ann", "1.0.0")
		pushed, err := b.h.Push(b.ctx, path, "oci://"+r.Address+"/charts", plain)
		b.Must(err)
		tag := "oci://" + r.Address + "/charts/web:1.0.0"
		digest := func(h *helmexec.Helm, address string, keyring string) string {
			b.Helper()
			source := plain
			source.Keyring = keyring
			info, err := h.Chart2Info(b.ctx, address, helmexec.ChartOptions{Source: source})
			b.Must(err)
			if info.ManifestDigest != pushed.Digest {
				b.Errorf("%s has manifest %q, want %q", address, info.ManifestDigest, pushed.Digest)
			}
			return info.Ref + "@" + info.ManifestDigest
		}
		pinned := digest(b.h, tag, "")
		digest(b.NewHelm(nil), tag, "") // from the cache
		digest(b.h, tag, ann.public)
		_, moved := b.sign(ann, "Ann", "1.0.0-moved")
		_, err = b.h.Push(b.ctx, moved, "oci://"+r.Address+"/charts", plain)
		b.Must(err)
		digest(b.h, pinned, "")
		digest(b.h, pinned, ann.public)

		b.Cfg.Home = filepath.Join(b.TempDir(), "home") // with nothing in the cache
		digest(b.NewHelm(nil), pinned, "")
		digest(b.NewHelm(nil), pinned, ann.public)
	})
}
