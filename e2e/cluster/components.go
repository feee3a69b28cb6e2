package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/sut-bench/helmexec/e2e/internal/guarded"
)

// run starts one component under its name.
func (c *Cluster) run(component string, remove string, command ...string) (*guarded.Process, error) {
	server := guarded.Server{
		Name:    component,
		Command: command,
		Dir:     c.Dir,
		Log:     c.file(component + ".log"),
		Remove:  remove,
	}
	if component == "kwok" {
		server.Again = 5 // now and then it crashes at its start: two of its workers write into one map
	}
	process, err := guarded.Start(server)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes[component] = process
	return process, nil
}

// startEtcd starts etcd on a socket in the cluster's folder: no port that
// another cluster could take, and none that another cluster could talk to.
func (c *Cluster) startEtcd(ctx context.Context) error {
	// The folder is removed when etcd has ended, the only writer.
	etcd, err := c.run("etcd", c.Dir, c.binaries.controlplane, "etcd",
		"--data-dir="+c.file("etcd"),
		"--listen-client-urls="+c.etcdURL(),
		// etcd requires a host and a port, which nobody uses.
		"--advertise-client-urls=http://localhost:2379",
		"--listen-peer-urls=unix://"+c.file("peer.sock"),
		// Nothing outlives the cluster, so nothing needs to reach the disk.
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
	if err != nil {
		return err
	}
	client := c.etcdClient()
	defer client.CloseIdleConnections()
	return etcd.Await(ctx, func(ctx context.Context) error {
		return getOK(ctx, client, "http://etcd/health")
	})
}

// etcdClient is for URLs of any host.
func (c *Cluster) etcdClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.file("etcd.sock"))
		},
	}}
}

func (c *Cluster) etcdURL() string { return "unix://" + c.file("etcd.sock") }

// StartAPIServer starts the apiserver again after StopAPIServer, on the same
// port with the same data, and returns when it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	command := []string{
		c.binaries.controlplane, "kube-apiserver",
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.port),
		"--tls-cert-file=" + c.file("apiserver.crt"),
		"--tls-private-key-file=" + c.file("apiserver.key"),
		"--etcd-servers=" + c.etcdURL(),
		"--token-auth-file=" + c.file("tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.file("service-accounts.key"),
		"--service-account-signing-key-file=" + c.file("service-accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		// Nobody outside this machine reaches it, so it advertises no endpoint.
		"--endpoint-reconciler-type=none",
		// As clusters are in general; nothing runs here.
		"--allow-privileged=true",
		// Nodes are ready from the start and never checked: no taint to wait for.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--enable-priority-and-fairness=false",
		"--profiling=false",
	}
	if c.audit {
		command = append(command, "--audit-policy-file="+c.file("audit-policy.yaml"), "--audit-log-path="+c.file("audit.log"))
	}
	apiserver, err := c.run("kube-apiserver", "", command...)
	if err != nil {
		return err
	}
	return apiserver.Await(ctx, func(ctx context.Context) error {
		return c.Request(ctx, http.MethodGet, "/readyz", nil, nil)
	})
}

// controllers are those that charts can notice. Those of nodes, certificates
// and clouds would only cost time.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"cronjob-controller",
	"daemonset-controller",
	"deployment-controller",
	"disruption-controller",
	"endpoints-controller",
	"endpointslice-controller",
	"ephemeral-volume-controller",
	"garbage-collector-controller",
	"job-controller",
	"namespace-controller",
	"persistentvolume-protection-controller",
	"persistentvolumeclaim-protection-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"replicationcontroller-controller",
	"resourceclaim-controller",
	"resourcequota-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"statefulset-controller",
	"ttl-after-finished-controller",
}

func (c *Cluster) startControllerManager() error {
	_, err := c.run("kube-controller-manager", "", c.binaries.controlplane, "kube-controller-manager",
		"--kubeconfig="+c.Kubeconfig,
		"--controllers="+strings.Join(controllers, ","),
		"--service-account-private-key-file="+c.file("service-accounts.key"),
		"--root-ca-file="+c.file("ca.crt"),
		"--leader-elect=false",
		"--secure-port=0",
		// The default of 20 would be what a test of many releases measures.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	)
	return err
}

func (c *Cluster) startScheduler() error {
	_, err := c.run("kube-scheduler", "", c.binaries.controlplane, "kube-scheduler",
		"--kubeconfig="+c.Kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	)
	return err
}

func (c *Cluster) startKwok() error {
	_, err := c.run("kwok", "", c.binaries.kwok,
		"--kubeconfig="+c.Kubeconfig,
		"--config="+c.file("stages.yaml"),
		"--manage-all-nodes",
	)
	return err
}

func getOK(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
