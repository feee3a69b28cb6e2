package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sut-bench/helmexec/e2e/internal/guarded"
)

// APIError is an answer of the apiserver that is not a success.
type APIError struct {
	Code    int    // the HTTP status
	Message string // as the apiserver says it
}

func (e *APIError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// IsNotFound reports whether the apiserver said that there is no such object.
func IsNotFound(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code == http.StatusNotFound
}

// Request asks the apiserver directly, without helm and every proxy. A body is YAML if it is a
// string, and otherwise whatever encodes to JSON (a merge patch, if the method is PATCH). A result,
// if not nil, is decoded from JSON; an *http.Header gets the header of the answer.
func (c *Cluster) Request(ctx context.Context, method, path string, body, result any) error {
	return c.request(ctx, method, path, "application/json", body, result)
}

// request repeats what the apiserver has no time for: it says so, too, of a kind whose definition has just changed.
func (c *Cluster) request(ctx context.Context, method, path, accept string, body, result any) (err error) {
	busy := guarded.Poll(ctx, func(ctx context.Context) error {
		var api *APIError
		if err = c.requestOnce(ctx, method, path, accept, body, result); errors.As(err, &api) && api.Code == http.StatusTooManyRequests {
			return err
		}
		return nil
	})
	return cmp.Or(busy, err)
}

func (c *Cluster) requestOnce(ctx context.Context, method, path, accept string, body, result any) error {
	var text []byte
	contentType := "application/json"
	switch value := body.(type) {
	case nil:
	case string:
		text, contentType = []byte(value), "application/yaml"
	case applyPatch:
		text, contentType = []byte(value), "application/apply-patch+yaml"
	default:
		var err error
		if text, err = json.Marshal(value); err != nil {
			return err
		}
		if method == http.MethodPatch {
			contentType = "application/merge-patch+json"
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", accept)
	request.Header.Set("Content-Type", contentType)
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode >= 300 {
		status := struct{ Message string }{string(answer)}
		_ = json.Unmarshal(answer, &status) // it may be plain text
		return fmt.Errorf("%s %s: %w", method, path, &APIError{Code: response.StatusCode, Message: status.Message})
	}
	if header, ok := result.(*http.Header); ok {
		*header = response.Header
		return nil
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// CreateNamespace makes a namespace and returns when pods can be made in it.
func (c *Cluster) CreateNamespace(ctx context.Context, name string) error {
	namespace := map[string]any{"metadata": map[string]any{"name": name}}
	if err := c.Request(ctx, http.MethodPost, "/api/v1/namespaces", namespace, nil); err != nil {
		return err
	}
	return guarded.Poll(ctx, func(ctx context.Context) error { return c.awaitDefaults(ctx, name) })
}

// DeleteNamespace removes a namespace with everything in it and returns when it is gone. It is not
// an error if it does not exist.
//
// It does the work of the namespace controller, which would only start five
// seconds later and look again after fifteen more.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	path := "/api/v1/namespaces/" + name
	if err := c.Request(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return ignoreNotFound(err)
	}
	return guarded.Poll(ctx, func(ctx context.Context) error {
		if err := c.empty(ctx, name); err != nil {
			return err
		}
		none := map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"finalizers": []string{}}}
		if err := c.Request(ctx, http.MethodPut, path+"/finalize", none, nil); err != nil {
			return ignoreNotFound(err)
		}
		return ignoreNotFound(c.Request(ctx, http.MethodGet, path, nil, nil))
	})
}

// empty deletes what is in a namespace. It fails as long as there was something.
func (c *Cluster) empty(ctx context.Context, namespace string) error {
	kinds, err := c.kinds(ctx)
	if err != nil {
		return err
	}
	var left []error
	for _, kind := range kinds {
		if !kind.namespaced {
			continue
		}
		objects, err := c.listKind(ctx, kind, namespace)
		if err != nil {
			return err
		}
		if len(objects) == 0 {
			continue
		}
		left = append(left, fmt.Errorf("%s is still there", objects[0]))
		if err := c.Request(ctx, http.MethodDelete, kind.path(namespace), nil, nil); ignoreNotFound(err) != nil {
			return err
		}
	}
	return errors.Join(left...)
}

// Eventually calls done until it returns nil, or fails with what it said last
// when ctx ends.
func Eventually(ctx context.Context, done func(context.Context) error) error {
	return guarded.Poll(ctx, done)
}

// awaitDefaults checks that the objects exist that pods in a namespace get by default.
func (c *Cluster) awaitDefaults(ctx context.Context, namespace string) error {
	for _, object := range []string{"serviceaccounts/default", "configmaps/kube-root-ca.crt"} {
		if err := c.Request(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/"+object, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if IsNotFound(err) {
		return nil
	}
	return err
}
