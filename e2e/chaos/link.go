package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/sut-bench/helmexec/e2e/cluster"
	"github.com/sut-bench/helmexec/e2e/internal/guarded"
)

// link is the network between the helm of one run and the API server. At first it has no fault.
type link struct {
	mu     sync.Mutex
	server *toxiproxy.ApiServer
	proxy  *toxiproxy.Proxy
}

// newLink listens on a port that stays free while the link is down.
func newLink(name, upstream string) (*link, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for tries := 1; ; tries++ {
		port, err := guarded.FreePort()
		if err != nil {
			return nil, err
		}
		l := &link{server: server, proxy: toxiproxy.NewProxy(server, name, fmt.Sprintf("127.0.0.1:%d", port), upstream)}
		if err = l.proxy.Start(); err == nil || tries == 5 {
			return l, err
		}
	}
}

func (l *link) url() string { return "https://" + l.proxy.Listen }

// down cuts every connection and refuses new ones.
func (l *link) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

func (l *link) up(ctx context.Context) error {
	return cluster.Eventually(ctx, func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.proxy.Enabled {
			return nil
		}
		return l.proxy.Start() // the port may not be free yet
	})
}

// sever ends every connection; new ones find the link up.
func (l *link) sever() error {
	// The proxy closes a connection when this toxic is removed from it.
	remove, err := l.poison("timeout", "downstream", 1, nil)
	if err == nil {
		remove()
	}
	return err
}

// poison adds a toxic to connections of one direction, "upstream" being from helm to the server,
// with the probability that a connection gets it. The function it returns takes it out.
func (l *link) poison(kind, direction string, probability float64, attributes map[string]int) (remove func(), err error) {
	text, err := json.Marshal(map[string]any{
		"name": kind + "-" + direction, "type": kind, "stream": direction, "toxicity": probability, "attributes": attributes,
	})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	toxic, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		old, done := l.proxy, make(chan struct{})
		go func() {
			defer close(done)
			_ = old.Toxics.RemoveToxic(context.Background(), toxic.Name)
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			// Once in ten thousand times toxiproxy waits for itself here. Another one takes its place.
			l.proxy = toxiproxy.NewProxy(l.server, old.Name, old.Listen, old.Upstream)
			go old.Stop()
			for range 50 {
				if l.proxy.Start() == nil {
					return
				}
				time.Sleep(100 * time.Millisecond) // until the port is free
			}
		}
	}, nil
}
