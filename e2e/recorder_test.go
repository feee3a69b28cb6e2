package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// recorder is in front of the API server and keeps every object as the API server answered it to helm. So it also has
// the hooks that helm removed again.
type recorder struct {
	*httptest.Server
	kubeconfig string
	lose       func(*http.Request) bool // if not nil: whether the connection breaks instead of an answer

	mu           sync.Mutex
	made, looked []liveObject // in their order, one for each answer: to what writes, and to what reads
}

// liveObject is an object as the API server has it.
type liveObject map[string]any

func (b *bed) newRecorder() *recorder {
	b.Helper()
	target, err := url.Parse(b.cluster.URL)
	b.must(err)
	r := &recorder{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Header.Del("Accept-Encoding")
		},
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true},
		ModifyResponse: r.keep,
	}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if r.lose != nil && r.lose(request) {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, request)
	}))
	b.Cleanup(r.Close)
	r.kubeconfig, err = b.cluster.KubeconfigWith(r.URL, r.Certificate())
	b.must(err)
	return r
}

// keep records the object of an answer, if there is one.
func (r *recorder) keep(response *http.Response) error {
	request := response.Request
	if response.StatusCode >= 300 || request.URL.Query().Has("dryRun") || request.URL.Query().Has("watch") ||
		!strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var object liveObject
	if err := json.Unmarshal(body, &object); err == nil && object.text("metadata", "uid") != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		if request.Method == http.MethodGet {
			r.looked = append(r.looked, object)
		} else {
			r.made = append(r.made, object)
		}
	}
	return nil
}

// seen gives the objects that were recorded, as helm made and changed them and as it looked at them.
func (r *recorder) seen() (made, looked []liveObject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.made), slices.Clone(r.looked)
}

// text gives a text in the object, "" if there is none.
func (o liveObject) text(path ...string) string {
	var value any = map[string]any(o)
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	text, _ := value.(string)
	return text
}

func (o liveObject) kind() string { return o.text("kind") }
func (o liveObject) name() string { return o.text("metadata", "name") }

// workloads are the kinds that make pods, with their places in the API.
var workloads = map[string]string{
	"Pod": "/api/v1/pods", "PodTemplate": "/api/v1/podtemplates", "ReplicationController": "/api/v1/replicationcontrollers",
	"Deployment": "/apis/apps/v1/deployments", "ReplicaSet": "/apis/apps/v1/replicasets",
	"StatefulSet": "/apis/apps/v1/statefulsets", "DaemonSet": "/apis/apps/v1/daemonsets",
	"Job": "/apis/batch/v1/jobs", "CronJob": "/apis/batch/v1/cronjobs",
}

// workloadsNow lists what makes pods, and the pods, as the API server has them now in the namespace.
func (b *bed) workloadsNow() []liveObject {
	b.Helper()
	var all []liveObject
	for _, kind := range slices.Sorted(maps.Keys(workloads)) {
		var list struct{ Items []liveObject }
		group, resource := workloads[kind][:strings.LastIndex(workloads[kind], "/")], workloads[kind][strings.LastIndex(workloads[kind], "/"):]
		b.must(b.cluster.Request(b.ctx, http.MethodGet, group+"/namespaces/"+b.namespace+resource, nil, &list))
		for _, object := range list.Items {
			object["kind"] = kind
			all = append(all, object)
		}
	}
	return all
}

// images are those of the containers of a workload. The API server keeps no other field in it than those of its kind.
func (o liveObject) images() []string {
	if workloads[o.kind()] == "" {
		return nil
	}
	var all []string
	collectImages(o["spec"], &all)
	collectImages(o["template"], &all) // of a PodTemplate
	slices.Sort(all)
	return slices.Compact(all)
}

func collectImages(value any, into *[]string) {
	object, _ := value.(map[string]any)
	for key, value := range object {
		items, isList := value.([]any)
		if !isList {
			collectImages(value, into)
			continue
		}
		for _, item := range items {
			item, _ := item.(map[string]any)
			switch key {
			case "containers", "initContainers", "ephemeralContainers":
				if image, ok := item["image"].(string); ok {
					*into = append(*into, image)
				}
			case "volumes":
				volume, _ := item["image"].(map[string]any)
				if image, ok := volume["reference"].(string); ok {
					*into = append(*into, image)
				}
			}
		}
	}
}
