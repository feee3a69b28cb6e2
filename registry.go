package helmexec

import (
	"context"
	"regexp"
	"strings"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/helmtext"
	"github.com/sut-bench/helmexec/internal/redact"
)

// RegistryOptions is for RegistryLogin.
type RegistryOptions struct {
	Username, Password string
	Source             SourceOptions
}

var registryHost = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?$`)

// RegistryLogin logs in to an OCI registry, a host with or without a port, for every later call with
// the same Home. Helm gets the password through stdin and keeps it in a file of mode 0600 in the
// home. Helm accepts the user name only as an argument, so other users of the host can see it for a
// moment. Starts one helm process.
//
// Errors: ErrInvalidArgument, ErrUnauthorized, or helm's own.
func (h *Helm) RegistryLogin(ctx context.Context, host string, opts RegistryOptions) error {
	if !registryHost.MatchString(host) {
		return errdef.Invalidf("registry %q: want a host with or without a port, and no scheme or path", redact.Address(host))
	}
	if opts.Username == "" || opts.Password == "" {
		return errdef.Invalidf("registry login: Username and Password are needed")
	}
	unlock, err := h.home.Lock(ctx, "registry credentials")
	if err != nil {
		return err
	}
	defer unlock()
	a := args{"registry", "login", "--username=" + opts.Username, "--password-stdin"}
	for _, flag := range fetch.Source(opts.Source).Flags() {
		if flag == "--insecure-skip-tls-verify" {
			flag = "--insecure" // as login spells it
		}
		a.add(flag)
	}
	a.add("--", host)
	return h.retry(ctx, func() error {
		_, err := h.run(ctx, invocation{args: a, stdin: []byte(opts.Password), secrets: []string{opts.Password}, login: fetch.LoginGiven})
		return err
	})
}

// RegistryLogout forgets the credentials of an OCI registry. Starts one helm process.
//
// Errors: ErrInvalidArgument, or helm's own.
func (h *Helm) RegistryLogout(ctx context.Context, host string) error {
	if !registryHost.MatchString(host) {
		return errdef.Invalidf("registry %q: want a host with or without a port, and no scheme or path", redact.Address(host))
	}
	unlock, err := h.home.Lock(ctx, "registry credentials")
	if err != nil {
		return err
	}
	defer unlock()
	_, err = h.run(ctx, invocation{args: []string{"registry", "logout", "--", host}})
	return err
}

// PushResult says where Push has put a chart.
type PushResult struct {
	Ref    string // "oci://host:5000/charts/web:1.2.3", to pull it
	Digest string // of its manifest, "sha256:…"
}

// Push puts a chart archive into an OCI registry, below an address such as
// "oci://host:5000/charts". Starts one helm process; a lost push may be repeated.
//
// Errors: ErrInvalidArgument, ErrChartNotFound and ErrBadChart of the archive, ErrUnauthorized, or
// helm's own.
func (h *Helm) Push(ctx context.Context, archive, registry string, opts SourceOptions) (*PushResult, error) {
	rest, ok := strings.CutPrefix(registry, "oci://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok || !registryHost.MatchString(host) || strings.ContainsAny(registry, " @?#") {
		return nil, errdef.Invalidf("registry %q: want oci://host[:port]/path", redact.Address(registry))
	}
	ch, err := chart.Read(archive, chart.Options{Limits: chart.Limits{Archive: h.cfg.Limits.Archive}})
	if err != nil {
		return nil, err
	}
	if ch.Digest == "" {
		return nil, errdef.Invalidf("push: %s is a folder: make an archive of it with Package", archive)
	}
	a := args{"push"}
	a.add(fetch.Source(opts).Flags()...)
	a.add("--", archive, registry)
	var said string
	err = h.retry(ctx, func() error {
		out, err := h.run(ctx, invocation{args: a, mutates: true, stderr: &said})
		said += string(out)
		return err
	})
	if err != nil {
		return nil, err
	}
	// A "+" of a version is written "_" in a tag.
	ref := strings.TrimSuffix(registry, "/") + "/" + ch.Metadata.Name + ":" + strings.ReplaceAll(ch.Metadata.Version, "+", "_")
	return &PushResult{Ref: ref, Digest: helmtext.PushedDigest(said)}, nil
}
