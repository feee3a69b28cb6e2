package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// pods knows which pods a cluster has, from its API server and not from what is measured. Pods have their release
// in the label app.
type pods struct {
	mu    sync.Mutex
	there map[string]map[string]bool // by release, by UID
	gone  map[string]time.Time       // when the last pod of a release was gone
	ended error
}

// watchPods follows the pods of the namespace default until ctx ends.
func watchPods(ctx context.Context, c *cluster.Cluster) (*pods, error) {
	p := &pods{there: map[string]map[string]bool{}, gone: map[string]time.Time{}}
	return p, c.Watch(ctx, "/api/v1/namespaces/default/pods", p.event, p.end)
}

func (p *pods) event(kind string, object json.RawMessage) {
	now := time.Now()
	var pod struct {
		Metadata struct {
			UID    string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal(object, &pod); err != nil {
		p.end(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	release := pod.Metadata.Labels["app"]
	switch {
	case kind == "DELETED":
		delete(p.there[release], pod.Metadata.UID)
		if len(p.there[release]) == 0 {
			p.gone[release] = now
		}
	case p.there[release] == nil:
		p.there[release] = map[string]bool{pod.Metadata.UID: true}
	default:
		p.there[release][pod.Metadata.UID] = true
	}
}

func (p *pods) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = err
}

// lastGone waits until the pods of a release are gone, and returns when the last one was.
func (p *pods) lastGone(ctx context.Context, release string) (at time.Time, err error) {
	err = cluster.Eventually(ctx, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.there[release]) > 0 && p.ended == nil {
			return fmt.Errorf("%d pods of %s are there", len(p.there[release]), release)
		}
		at = p.gone[release]
		return nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.ended != nil {
		err = p.ended
	}
	if err == nil && at.IsZero() {
		err = errors.New("no pod of " + release + " was seen")
	}
	return at, err
}

// settled fails while the cluster has pods, or what makes pods, or what a removal of before still works on.
func settled(c *cluster.Cluster) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, kind := range []string{"/apis/apps/v1/namespaces/default/deployments", "/apis/apps/v1/namespaces/default/replicasets", "/api/v1/namespaces/default/pods"} {
			var all struct{ Items []struct{} }
			if err := c.Request(ctx, "GET", kind, nil, &all); err != nil {
				return err
			}
			if len(all.Items) > 0 {
				return fmt.Errorf("%d of %s are there", len(all.Items), kind)
			}
		}
		return nil
	}
}
