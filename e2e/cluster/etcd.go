package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// StoredSize is how many bytes etcd keeps for an object of Kubernetes' own kinds: it is stored as it is sent here.
func (c *Cluster) StoredSize(ctx context.Context, o Object) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+o.path(), nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", o, response.Status)
	}
	return len(body), err
}

// EtcdMetric is a metric of etcd, such as etcd_mvcc_put_total.
func (c *Cluster) EtcdMetric(ctx context.Context, name string) (float64, error) {
	client := c.etcdClient()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://etcd/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("etcd has no metric %s", name)
}
