package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Watch calls event for every object that is at a path, and then for each change of one, with its kind (ADDED,
// MODIFIED, DELETED) and the object. It returns when the apiserver has begun to answer. Done gets the reason why
// the watch ended, once: the end of ctx is one.
func (c *Cluster) Watch(ctx context.Context, path string, event func(kind string, object json.RawMessage), done func(error)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path+"?watch=true", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return fmt.Errorf("watch %s: %w", path, &APIError{Code: response.StatusCode, Message: response.Status})
	}
	go func() {
		defer response.Body.Close()
		for events := json.NewDecoder(response.Body); ; {
			var e struct {
				Type   string
				Object json.RawMessage
			}
			if err := events.Decode(&e); err != nil {
				done(fmt.Errorf("watch %s: %w", path, err))
				return
			}
			event(e.Type, e.Object)
		}
	}()
	return nil
}
