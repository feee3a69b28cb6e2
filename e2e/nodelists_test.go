package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/internal/emptycluster"
)

// withLists is a Helm of a cluster that has just these nodes and pods, each as JSON.
func (b *bed) withLists(nodes, pods []string, limits helmexec.Limits) *helmexec.Helm {
	b.Helper()
	empty, err := emptycluster.Start(func() (emptycluster.Version, []string, error) {
		return emptycluster.Version{GitVersion: "v1.34.4", Major: "1", Minor: "34"}, []string{"v1", "v1/Node", "v1/Pod", "v1/ConfigMap"}, nil
	})
	b.must(err)
	to, err := url.Parse(empty.URL)
	b.must(err)
	forward := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lists := map[string]struct {
			kind  string
			items []string
		}{"/api/v1/nodes": {"NodeList", nodes}, "/api/v1/pods": {"PodList", pods}}
		list, ours := lists[r.URL.Path]
		if !ours {
			forward.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":%q,"metadata":{},"items":[%s]}`, list.kind, strings.Join(list.items, ","))
	}))
	b.T.Cleanup(func() { server.Close(); empty.Close() })
	kubeconfig := filepath.Join(b.T.TempDir(), "kubeconfig")
	b.must(os.WriteFile(kubeconfig, []byte(strings.ReplaceAll(string(empty.Kubeconfig()), empty.URL, server.URL)), 0o600))
	return b.newHelm(func(cfg *helmexec.Config) { cfg.Kubeconfig, cfg.Limits = kubeconfig, limits })
}

// item is an object of a list; rest begins in its metadata.
func item(kind, name, rest string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":%q,"metadata":{"name":%q%s}`, kind, name, rest)
}

// nodesInEveryState: only those count that take pods, and only pods that hold something.
func nodesInEveryState(b *bed) {
	node := func(name, meta, spec, conditions string) string {
		return item("Node", name, meta+`},"spec":{`+spec+`},"status":{"conditions":[`+conditions+`],"allocatable":{"cpu":"8","nvidia.com/gpu":"8","hugepages-2Mi":"0"}}`)
	}
	const ready = `{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}`
	pod := func(name, meta, spec, phase, amount string) string {
		return item("Pod", name, meta+`},"spec":{`+spec+`"containers":[{"name":"a","resources":{"requests":{"cpu":"1","nvidia.com/gpu":"`+amount+`"}}},{"name":"b","resources":{}},{"name":"c"}]},"status":{"phase":"`+phase+`"}`)
	}
	const on, going = `"nodeName":"ready",`, `,"deletionTimestamp":"2030-01-01T00:00:00Z"`
	h := b.withLists([]string{
		node("ready", "", "", ready),
		node("cordoned", "", `"unschedulable":true`, ready),
		node("not-ready", "", "", `{"type":"Ready","status":"False"}`),
		node("lost", "", "", `{"type":"Ready","status":"Unknown"}`),
		node("new", "", "", ""),
		node("going", going, "", ready),
	}, []string{
		pod("running", "", on, "Running", "1"), pod("starting", "", on, "Pending", "1"), pod("lost", "", on, "Unknown", "1"),
		pod("going", going, on, "Running", "1"),
		pod("succeeded", "", on, "Succeeded", "1"), pod("failed", "", on, "Failed", "1"), pod("waiting", "", "", "Pending", "1"),
		pod("elsewhere", "", `"nodeName":"cordoned",`, "Running", "1"),
	}, helmexec.Limits{})
	nodes, err := h.Nodes(b.ctx, helmexec.ClusterOptions{})
	b.must(err)
	got, err := json.Marshal(nodes)
	b.must(err)
	if string(got) != `[{"nvidia.com/gpu":4}]` {
		b.Errorf("free is %s, want one node with 8 less the 4 that running, starting, lost and going hold", got)
	}
}

// clusterTooLargeToCount: helm reads all pods into memory, which is limited.
func clusterTooLargeToCount(b *bed) {
	var pods []string
	for i := range 4000 {
		pods = append(pods, item("Pod", fmt.Sprint("p", i), `,"annotations":{"a":"`+strings.Repeat("x", 10<<10)+`"}},"spec":{"nodeName":"a","containers":[]},"status":{"phase":"Running"}`))
	}
	_, err := b.withLists(nil, pods, helmexec.Limits{RenderMemory: 128 << 20}).Nodes(b.ctx, helmexec.ClusterOptions{})
	b.wantErr(err, helmexec.ErrOutputTooLarge, "too many nodes and pods for Config.Limits", "Limits.RenderMemory")
	nodes, err := b.withLists(nil, pods, helmexec.Limits{}).Nodes(b.ctx, helmexec.ClusterOptions{})
	b.must(err)
	if len(nodes) != 0 {
		b.Errorf("got %v, and there is no node", nodes)
	}
}
