package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/home"
	"github.com/sut-bench/helmexec/manifest"
)

// version is that of the file. It changes when a reader of the old form would apply something else.
const version = 1

// maxFile bounds what is read of a file.
const maxFile = 256 << 20

type saved struct {
	Version int    `json:"helmexecPlan"`
	Digest  string `json:"digest"`
	content
}

// Save writes the plan to a file that only its owner can read: it holds the values and every Secret of the chart. The
// file is there whole or not at all. Save makes no folder.
//
// Errors: ErrInvalidArgument for an empty path; fs.ErrNotExist if the folder is missing, and others of the file system, with the
// path; ErrBadPlan for a plan that nobody made.
func (p *Plan) Save(path string) error {
	if path == "" {
		return errdef.Invalidf("plan: save: the path is empty")
	}
	if err := p.checkMade(); err != nil {
		return err
	}
	text, err := json.Marshal(saved{Version: version, Digest: p.Digest(), content: p.content()})
	if err != nil {
		return err
	}
	if err := home.WriteFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("plan: save %s: %w", path, cause(err))
	}
	return nil
}

// Load reads a plan that Save wrote. Everything that it shows is derived anew from its documents, but a file proves
// nothing about who wrote it: give the digest that was approved to Apply.
//
// Errors: fs.ErrNotExist if there is no such file, and others of the file system; ErrBadPlan; as New.
func Load(ctx context.Context, path string) (*Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: %s is a folder: want a file that Save wrote", ErrBadPlan, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, fmt.Errorf("%w: %s has more than %d MiB", ErrBadPlan, path, maxFile>>20)
	}
	var s saved
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadPlan, path, err)
	}
	if s.Version != version {
		return nil, fmt.Errorf("%w: %s is of version %d, and this program reads version %d: make the plan again", ErrBadPlan, path, s.Version, version)
	}
	p, err := New(ctx, Input{
		Release: s.Release, Namespace: s.Namespace, Upgrade: s.Upgrade, Base: s.Base,
		Cluster: s.Cluster, KubeVersion: s.KubeVersion, APIs: s.APIs,
		Chart: s.Chart, ChartDigest: s.ChartDigest, SigningKey: s.SigningKey, Values: s.Values, Defaults: s.Defaults, Notes: s.Notes,
		Rendered: joined(s.Documents), CRDs: joined(s.CRDs),
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrBadPlan, path, err)
	case p.Digest() != s.Digest:
		return nil, fmt.Errorf("%w: %s was changed after it was written, or written by another program", ErrBadPlan, path)
	}
	return p, nil
}

// cause is an error of the file system without its own path, which is that of a temporary file.
func cause(err error) error {
	var ofPath *fs.PathError
	var ofLink *os.LinkError
	switch {
	case errors.As(err, &ofPath):
		return ofPath.Err
	case errors.As(err, &ofLink):
		return ofLink.Err
	}
	return err
}

func joined(texts []string) manifest.Manifest {
	documents := make([]manifest.Manifest, len(texts))
	for i, text := range texts {
		documents[i] = manifest.Manifest(text)
	}
	return join(documents)
}
