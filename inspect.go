package helmexec

import (
	"bytes"
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sut-bench/helmexec/internal/binary"
	"github.com/sut-bench/helmexec/internal/fetch"
)

// InspectOptions is for Inspect.
type InspectOptions struct {
	Render TemplateOptions
	Images ImageOptions
	GPUs   GPUOptions
}

// Inspection is what can be known about a chart before it is installed.
type Inspection struct {
	Info     *ChartInfo
	Manifest Manifest // as rendered, hooks included
	Images   []string // as Manifest.Images gives them
	Report   *ImageReport
	GPUs     *GPUReport
	Hooks    []ObjectRef            // objects that are hooks or tests
	Objects  map[string][]ObjectRef // every object, by "group/Kind" ("Kind" in the core group), in the order of the manifest
}

// Inspect resolves a chart, renders it once, and returns its images, accelerators, hooks and
// objects. Starts one helm process in addition to those of Fetch, or none if the render is
// remembered.
//
// Errors: as Template; if a document of the manifest is bad, the result of the others and one ErrBadManifest
// for the document; the context's, also if it ends while the manifest is read.
func (h *Helm) Inspect(ctx context.Context, chart string, opts InspectOptions) (_ *Inspection, err error) {
	ctx, end := h.enter(ctx, Span{Operation: "Inspect", Address: chart})
	defer end(&err)
	ch, m, err := h.rendered(ctx, chart, opts.Render, false)
	if err != nil {
		return nil, err
	}
	// A copy, because the caller may change it.
	in := &Inspection{Info: ch.info(), Manifest: bytes.Clone(m), Objects: map[string][]ObjectRef{}}
	var errs [3]error
	in.Report, errs[0] = m.ImageReportContext(ctx, opts.Images)
	in.Images, _ = m.ImagesContext(ctx, opts.Images) // the error is that of the report
	in.GPUs, errs[1] = m.GPUsContext(ctx, opts.GPUs)
	var places []Place
	places, errs[2] = m.IndexContext(ctx)
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	namespace := cmp.Or(opts.Render.Namespace, h.cfg.Namespace)
	for _, place := range places {
		ref := place.Object.In(namespace)
		kind := strings.TrimPrefix(ref.Group+"/"+ref.Kind, "/")
		in.Objects[kind] = append(in.Objects[kind], ref)
		if place.IsHook() {
			in.Hooks = append(in.Hooks, ref)
		}
	}
	return in, oncePerDocument(errs[:])
}

// oncePerDocument joins the errors of several readers of one manifest, which meet the same bad
// documents.
func oncePerDocument(errs []error) error {
	var all []error
	seen := map[int]bool{}
	var add func(errs []error)
	add = func(errs []error) {
		for _, err := range errs {
			switch err := err.(type) {
			case nil:
			case *DocumentError:
				if !seen[err.Document] {
					seen[err.Document] = true
					all = append(all, err)
				}
			case interface{ Unwrap() []error }:
				add(err.Unwrap())
			default:
				if !slices.Contains(all, err) { // the readers stop with the same error after too many bad documents
					all = append(all, err)
				}
			}
		}
	}
	add(errs)
	return errors.Join(all...)
}

// rendered resolves a chart and renders it, or returns the remembered render, which nobody may change. With described the
// chart may have no Values.
func (h *Helm) rendered(ctx context.Context, chart string, opts TemplateOptions, described bool) (*Chart, Manifest, error) {
	inv, err := h.templateInvocation(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	source := fetch.Options{Version: opts.Version, Source: fetch.Source(opts.Source), Described: described}
	ch, err := h.fetch(ctx, chart, source)
	if err != nil {
		return nil, nil, err
	}
	render := func() (m Manifest, err error) {
		if described && !h.store.IsIntact(ch.Path, ch.Digest) {
			source.Described = false // so that it is pulled again
			if ch, err = h.fetch(ctx, chart, source); err != nil {
				return nil, err
			}
		}
		return h.render(ctx, ch, inv, opts)
	}
	// A folder can change, and so can a cluster.
	if ch.Digest == "" || opts.FromCluster || opts.Transform != nil || h.renders.limit <= 0 {
		m, err := render()
		return ch, m, err
	}
	helm, err := h.identified(ctx)
	if err != nil {
		return nil, nil, err
	}
	key, shared := h.renderKey(helm, ch, inv, opts), h.isShared(helm, ch, opts)
	found := func(result CacheResult) { note(ctx, func(s *Span) { s.Cache = result }) }
	var m Manifest
	leave, err := h.renderTurn(ctx, key, shared, func() (ok bool) {
		m, ok = h.remembered(key, shared)
		return ok
	})
	if err != nil {
		return nil, nil, err
	}
	if leave == nil {
		found(CacheHit)
		return ch, m, nil
	}
	defer leave()
	found(CacheMiss)
	m, err = render()
	if err == nil && h.renderKey(helm, ch, inv, opts) == key { // the same chart still
		h.renders.put(key, m)
		if shared && h.isShared(helm, ch, opts) { // by the same helm
			h.kept.Put(key, m)
		}
	}
	return ch, m, err
}

// renderKey is the digest of everything that decides what a chart renders to.
func (h *Helm) renderKey(helm identified, ch *Chart, inv invocation, opts TemplateOptions) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q", helm.Text, h.env.deciding(), ch.Digest, inv.args, opts.ReleaseName, inv.stdin))
	return hex.EncodeToString(sum[:])
}

// isShared reports whether every process that uses this home renders the same under the same key: the file of helm is
// still the one that told its version, the chart cannot change, and nothing else that can change decides.
func (h *Helm) isShared(helm identified, ch *Chart, opts TemplateOptions) bool {
	switch {
	case h.cfg.KeepRenders < 0, helm.identity == "", helm.identity != binary.Identity(h.binary), !h.store.Owns(ch.Path, ch.Digest):
		return false
	case cmp.Or(opts.Namespace, h.cfg.Namespace) == "" && (h.cfg.Home == UserHome || h.cfg.Env["HOME"] != ""):
		return false // a kubeconfig there can name another namespace
	}
	return !slices.ContainsFunc(opts.ExtraArgs, func(flag string) bool { return strings.HasPrefix(flag, "--enable-dns=") })
}

// remembered looks for a render in the memory of this process, and in the home if it is shared.
func (h *Helm) remembered(key string, shared bool) (Manifest, bool) {
	if m, ok := h.renders.get(key); ok || !shared {
		return m, ok
	}
	m, ok := h.kept.Get(key)
	if !ok || int64(len(m)) > h.cfg.Limits.RenderOutput {
		return nil, false
	}
	h.renders.put(key, m)
	return m, true
}

// renderTurn makes the caller the only one who renders for a key: in all processes with this home if it is shared. Once
// somebody has rendered, leave is nil.
func (h *Helm) renderTurn(ctx context.Context, key string, shared bool, done func() bool) (leave func(), err error) {
	if shared {
		leave, err := h.home.LockUnless(ctx, "render "+key, done)
		if err == nil || ctx.Err() != nil {
			return leave, err
		}
		// The disk is full, perhaps. Others who render the same do no harm.
	}
	if done() {
		return nil, nil
	}
	leave, err = h.home.Turn(ctx, "render "+key)
	if err == nil && done() {
		leave()
		leave = nil
	}
	return leave, err
}

// renderMemory keeps the last rendered manifests, up to a number of bytes.
type renderMemory struct {
	limit int64

	mu    sync.Mutex
	size  int64
	order list.List // of *remembered, the last used first
	byKey map[string]*list.Element
}

type remembered struct {
	key      string
	manifest Manifest
}

func (r *renderMemory) get(key string) (Manifest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byKey[key]
	if !ok {
		return nil, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*remembered).manifest, true
}

func (r *renderMemory) put(key string, m Manifest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byKey[key]; ok || int64(len(m)) > r.limit {
		return
	}
	if r.byKey == nil {
		r.byKey = map[string]*list.Element{}
	}
	r.byKey[key] = r.order.PushFront(&remembered{key, m})
	r.size += int64(len(m))
	for r.size > r.limit {
		last := r.order.Remove(r.order.Back()).(*remembered)
		delete(r.byKey, last.key)
		r.size -= int64(len(last.manifest))
	}
}
