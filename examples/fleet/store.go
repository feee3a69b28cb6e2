package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/plan"
)

// Store keeps plans, by digest, where the workers of all homes find them. A plan holds the values and every Secret of a
// chart, so it goes neither through Temporal nor into a log.
type Store interface {
	Put(ctx context.Context, p *helmexec.Plan) error
	// Get gives exactly the plan of that digest; fs.ErrNotExist if there is none.
	Get(ctx context.Context, digest string) (*helmexec.Plan, error)
	// Remove removes a plan, if it is there.
	Remove(ctx context.Context, digest string) error
	// Prune removes what is older: the plans of deliveries that gave no answer.
	Prune(ctx context.Context, before time.Time) error
}

// Folder is a Store on a file system that all workers mount.
type Folder string

func (f Folder) file(digest string) string {
	return filepath.Join(string(f), strings.ReplaceAll(filepath.Base(digest), ":", "-")+".json")
}

func (f Folder) Put(_ context.Context, p *helmexec.Plan) error { return p.Save(f.file(p.Digest())) }

func (f Folder) Get(ctx context.Context, digest string) (*helmexec.Plan, error) {
	p, err := plan.Load(ctx, f.file(digest))
	if err == nil && p.Digest() != digest {
		return nil, fmt.Errorf("%w: it is not the plan %s", helmexec.ErrBadPlan, digest)
	}
	return p, err
}

func (f Folder) Remove(_ context.Context, digest string) error {
	if err := os.Remove(f.file(digest)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f Folder) Prune(_ context.Context, before time.Time) error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return err
	}
	var failed []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.ModTime().Before(before) {
			failed = append(failed, os.Remove(filepath.Join(string(f), entry.Name())))
		}
	}
	return errors.Join(failed...)
}
