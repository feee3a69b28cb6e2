package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sut-bench/helmexec/e2e/cluster"
)

// plain removes from a text what differs from run to run.
func (st *stage) plain(text string) string {
	text = strings.NewReplacer(st.dir, "/tmp", st.namespace, "team").Replace(text)
	for _, vary := range varies {
		text = vary.pattern.ReplaceAllString(text, vary.plain)
	}
	return text
}

var varies = []struct {
	pattern *regexp.Regexp
	plain   string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:8080"},
	{regexp.MustCompile(`/tmp/\d+`), "/tmp"},
	{regexp.MustCompile(`"sha256:[0-9a-f]{64}" != "sha256:[0-9a-f]{64}"`), fmt.Sprintf(`"sha256:%064x" != "sha256:%064x"`, 0xa, 0xb)},
	{regexp.MustCompile(`/tmp/helmexec-cluster-\d+`), "/tmp"},
	{regexp.MustCompile(`(?m)^([EWI])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ `), "${1}0101 00:00:00.000000       1 "},
	{regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`), "2025-01-01T00:00:00Z"},
	{regexp.MustCompile(`on \d+\.\d+\.\d+\.\d+:53`), "on 10.0.0.10:53"},
	{regexp.MustCompile(`\b(web|job)(-[a-z0-9]{8,10})?-[a-z0-9]{5}\b`), "$1$2-aaaaa"},
	{regexp.MustCompile(`\bweb-[a-z0-9]{8,10}\b`), "web-bbbbbbbbb"},
}

// status waits until the pods have settled, and returns helm's report of them.
func (st *stage) status(ctx context.Context) (string, error) {
	var found any
	err := cluster.Eventually(ctx, func(ctx context.Context) error {
		line := "status web --output=json"
		if !st.helm4 {
			line += " --show-resources"
		}
		stdout, stderr, err := st.command(ctx, line, 0)
		if err != nil {
			return fmt.Errorf("%w: %s", err, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &found); err != nil {
			return err
		}
		if !settled(stdout) {
			return errors.New("the pods have no status yet")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(slim(found), "", " ")
	return st.plain(string(text)) + "\n", err
}

// settled reports whether a pod has settled, from words that only then appear.
func settled(status string) bool {
	return slices.ContainsFunc([]string{
		"ImagePullBackOff", "CrashLoopBackOff", "ContainersNotReady", "Unschedulable", "BackoffLimitExceeded", "MinimumReplicasAvailable",
	}, func(word string) bool { return strings.Contains(status, word) })
}

// slim leaves out what nobody needs: who set which field when, and the chart itself.
func slim(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{
			"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "spec", "manifest", "chart", "config", "selfLink",
			"annotations", "podIP", "podIPs", "hostIP", "hostIPs",
		} {
			delete(v, key)
		}
		for k := range v {
			v[k] = slim(v[k])
		}
	case []any:
		for i := range v {
			v[i] = slim(v[i])
		}
	}
	return v
}
