package helmexec

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
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
// Errors: as Template; if a document of the manifest is bad, the result of the others and one error
// for the document; the context's, also if it ends while the manifest is read.
func (h *Helm) Inspect(ctx context.Context, chart string, opts InspectOptions) (*Inspection, error) {
	ch, m, err := h.rendered(ctx, chart, opts.Render)
	if err != nil {
		return nil, err
	}
	in := &Inspection{Info: ch.info(), Manifest: m, Objects: map[string][]ObjectRef{}}
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

// rendered resolves a chart and renders it, or returns the remembered render.
func (h *Helm) rendered(ctx context.Context, chart string, opts TemplateOptions) (*Chart, Manifest, error) {
	inv, err := h.templateInvocation(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	ch, err := h.Fetch(ctx, chart, ChartOptions{Version: opts.Version, Source: opts.Source})
	if err != nil {
		return nil, nil, err
	}
	// A folder can change, and so can a cluster.
	if ch.Digest == "" || opts.FromCluster || opts.Transform != nil || h.renders.limit <= 0 {
		m, err := h.render(ctx, ch, inv, opts)
		return ch, m, err
	}
	key := sha256.Sum256([]byte(strings.Join(append(inv.args, ch.Digest, opts.ReleaseName, string(inv.stdin)), "\x00")))
	leave, err := h.home.Turn(ctx, "render "+hex.EncodeToString(key[:]))
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	if m, ok := h.renders.get(key); ok {
		return ch, m, nil
	}
	m, err := h.render(ctx, ch, inv, opts)
	if err == nil {
		h.renders.put(key, m)
	}
	return ch, m, err
}

// renderMemory keeps the last rendered manifests, up to a number of bytes.
type renderMemory struct {
	limit int64

	mu    sync.Mutex
	size  int64
	order list.List // of *remembered, the last used first
	byKey map[[sha256.Size]byte]*list.Element
}

type remembered struct {
	key      [sha256.Size]byte
	manifest Manifest
}

func (r *renderMemory) get(key [sha256.Size]byte) (Manifest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byKey[key]
	if !ok {
		return nil, false
	}
	r.order.MoveToFront(e)
	// A copy, because the caller may change it.
	return append(Manifest(nil), e.Value.(*remembered).manifest...), true
}

func (r *renderMemory) put(key [sha256.Size]byte, m Manifest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byKey[key]; ok || int64(len(m)) > r.limit {
		return
	}
	if r.byKey == nil {
		r.byKey = map[[sha256.Size]byte]*list.Element{}
	}
	r.byKey[key] = r.order.PushFront(&remembered{key, append(Manifest(nil), m...)})
	r.size += int64(len(m))
	for r.size > r.limit {
		last := r.order.Remove(r.order.Back()).(*remembered)
		delete(r.byKey, last.key)
		r.size -= int64(len(last.manifest))
	}
}
