package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/e2e/cluster"
)

// slowServer is in front of the API server, like a load balancer that reads a whole request before it
// passes it on: what it has accepted arrives, even if the client is gone.
type slowServer struct {
	*httptest.Server
	kubeconfig string
	held       chan string   // the first request that is held back
	release    chan struct{} // closed to let it arrive
}

// newSlowServer holds back the first request that makes an object of a kind.
func (b *bed) newSlowServer(kind string) *slowServer {
	b.Helper()
	target, err := url.Parse(b.cluster.URL)
	b.must(err)
	s := &slowServer{held: make(chan string, 1), release: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writes := r.Method == http.MethodPost || r.Method == http.MethodPatch
		if writes && strings.Contains(r.URL.Path, "/"+kind) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			select {
			case s.held <- r.URL.Path:
				r = r.WithContext(context.WithoutCancel(r.Context()))
				w = struct{ http.ResponseWriter }{w} // does not report that the client is gone
				<-s.release
			default: // not the first one
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(s.CloseClientConnections)
	s.kubeconfig, err = b.cluster.KubeconfigWith(s.URL, s.Certificate())
	b.must(err)
	return s
}

// recordThatArrivesLate: helm is killed while its record is on its way. The record is listed, and the
// clean-up of the job finds it.
func recordThatArrivesLate(b *bed) {
	s := b.newSlowServer("secrets")
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig, cfg.GracePeriod = s.kubeconfig, 15*time.Second })
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	go func() { <-s.held; cancel() }()
	_, err := h.Install(ctx, "web", sutChart, helmexec.InstallOptions{JobID: "7"})
	b.wantErr(err, helmexec.ErrLeftBehind)
	b.wantErr(err, context.Canceled)
	b.wantNames(b.failed(err).Remains, "Secret "+b.namespace+"/sh.helm.release.v1.web.v1")
	close(s.release)
	b.awaitRecord("web")
	results, err := b.h.UninstallJob(b.ctx, "7", helmexec.JobOptions{Wait: true, Timeout: patient})
	b.must(err)
	if len(results) != 1 {
		b.Errorf("results are %v", results)
	}
	b.wantLeft(nil)
}

// objectThatArrivesLate: helm ends while it makes an object, which arrives when the release has been
// removed.
func objectThatArrivesLate(b *bed) {
	s := b.newSlowServer("deployments")
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig, cfg.GracePeriod = s.kubeconfig, time.Minute })
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	go func() {
		<-s.held
		cancel()
		_ = cluster.Eventually(b.ctx, func(ctx context.Context) error {
			err := b.cluster.Request(ctx, http.MethodGet, "/api/v1/namespaces/"+b.namespace+"/secrets/sh.helm.release.v1.web.v1", nil, nil)
			if cluster.IsNotFound(err) {
				return nil
			}
			return errors.Join(err, errStill)
		})
		close(s.release)
	}()
	_, err := h.Install(ctx, "web", sutChart, helmexec.InstallOptions{Wait: true})
	b.wantErr(err, context.Canceled)
	if errors.Is(err, helmexec.ErrLeftBehind) {
		b.Errorf("left behind: %v", err)
	}
	b.wantLeft(b.failed(err).Remains)
}

// objectThatDoesNotArrive: it is not known whether it will still arrive, so it is listed.
func objectThatDoesNotArrive(b *bed) {
	s := b.newSlowServer("deployments")
	defer close(s.release)
	h := b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig, cfg.GracePeriod = s.kubeconfig, 20*time.Second })
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	go func() { <-s.held; cancel() }()
	_, err := h.Install(ctx, "web", sutChart, helmexec.InstallOptions{Wait: true})
	b.wantErr(err, context.Canceled)
	b.wantErr(err, helmexec.ErrLeftBehind, "may still be on its way")
	var reported []string
	for _, r := range b.failed(err).Remains {
		reported = append(reported, r.Kind+" "+r.Name)
	}
	if !slices.Contains(reported, "Deployment web") {
		b.Errorf("reported is %q, want the Deployment", reported)
	}
	// What a slow clean-up has not removed is listed beside it, also if helm's last request for it is still under way.
	there, err := b.objects(b.ctx)
	b.must(err)
	for _, object := range there {
		if !slices.Contains(reported, object) {
			b.Errorf("%s is there, and %q was reported", object, reported)
		}
	}
}

// outageIsSaid: a wait says that the cluster does not answer, goes on, and succeeds.
func outageIsSaid(b *bed) {
	target, err := url.Parse(b.cluster.URL)
	b.must(err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	var away atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(server.CloseClientConnections)
	kubeconfig, err := b.cluster.KubeconfigWith(server.URL, server.Certificate())
	b.must(err)

	// No node takes its pod before a claim is there. Helm 4 gives a pod of nobody up after 15 s, and a Deployment not.
	chart := b.folder(map[string]string{"deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: claims}\nspec:\n  selector: {matchLabels: {app: claims}}\n" +
		"  template:\n    metadata: {labels: {app: claims}}\n    spec:\n      containers: [{name: main, image: x:1, volumeMounts: [{name: data, mountPath: /data}]}]\n" +
		"      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]\n"})
	said := false
	_, err = b.h.Install(b.ctx, "web", chart, helmexec.InstallOptions{
		Kubeconfig: kubeconfig, Wait: true, Timeout: time.Hour, ProgressInterval: 200 * time.Millisecond,
		Progress: func(p helmexec.Progress) {
			switch {
			case said:
			case p.Err == nil:
				away.Store(p.Blocker != nil)
			default:
				if said = true; !errors.Is(p.Err, helmexec.ErrClusterUnreachable) || p.Total != 1 || p.Blocker == nil {
					b.Errorf("got %+v, want ErrClusterUnreachable and what was known before", p)
				}
				away.Store(false)
				b.must(b.cluster.Request(b.ctx, http.MethodPost, "/api/v1/namespaces/"+b.namespace+"/persistentvolumeclaims",
					"metadata: {name: data}\nspec: {storageClassName: standard, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n", nil))
			}
		},
	})
	b.must(err)
	if !said {
		b.Error("no Progress said that the cluster did not answer")
	}
}
