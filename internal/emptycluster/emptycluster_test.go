package emptycluster

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnswers(t *testing.T) {
	apis := []string{"v1", "v1/Pod", "v1/Secret", "apps/v1/Deployment", "apps/v1", "acme.io/v1", "acme.io/v1/Web", "acme.io/v1beta1"}
	s, err := Start(func() (Version, []string, error) { return Version{"v1.34.1", "1", "34+"}, apis, nil })
	require.NoError(t, err)
	defer s.Close()
	for _, test := range []struct {
		path string
		code int
		body string
	}{
		{"/version", 200, `{"gitVersion":"v1.34.1","major":"1","minor":"34+"}`},
		{"/api", 200, `{"kind":"APIVersions","versions":["v1"]}`},
		{"/apis", 200, `{"apiVersion":"v1","groups":[` +
			`{"name":"apps","preferredVersion":{"groupVersion":"apps/v1","version":"v1"},"versions":[{"groupVersion":"apps/v1","version":"v1"}]},` +
			`{"name":"acme.io","preferredVersion":{"groupVersion":"acme.io/v1","version":"v1"},"versions":[{"groupVersion":"acme.io/v1","version":"v1"},{"groupVersion":"acme.io/v1beta1","version":"v1beta1"}]}` +
			`],"kind":"APIGroupList"}`},
		{"/apis/acme.io/v1", 200, `{"apiVersion":"v1","groupVersion":"acme.io/v1","kind":"APIResourceList","resources":[` +
			`{"kind":"Web","name":"webs","namespaced":true,"singularName":"web","verbs":["get","list"]}]}`},
		{"/apis/acme.io/v1beta1", 200, `{"apiVersion":"v1","groupVersion":"acme.io/v1beta1","kind":"APIResourceList","resources":[]}`},
		{"/api/v1/pods", 200, `{"apiVersion":"v1","items":[],"kind":"PodList","metadata":{"resourceVersion":"1"}}`},
		{"/apis/apps/v1/namespaces/team/deployments", 200, `{"apiVersion":"apps/v1","items":[],"kind":"DeploymentList","metadata":{"resourceVersion":"1"}}`},
		{"/api/v1/namespaces/team/secrets/password", 404, ""},
		{"/api/v1/namespaces/team", 404, ""},
		{"/apis/other.io/v1", 404, ""},
		{"/apis/other.io/v1/things", 404, ""},
		{"/", 404, ""},
		{"/openapi/v2", 404, ""},
		{"/apis/acme.io", 404, ""},
	} {
		reply, err := http.Get(s.URL + test.path)
		require.NoError(t, err)
		body, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, test.code, reply.StatusCode, test.path)
		if test.body != "" {
			assert.Equal(t, test.body+"\n", string(body), test.path)
			continue
		}
		var status struct{ Kind, Reason string }
		require.NoError(t, json.Unmarshal(body, &status), test.path)
		assert.Equal(t, "Status", status.Kind)
		assert.Equal(t, "NotFound", status.Reason)
	}
	reply, err := http.Post(s.URL+"/api/v1/namespaces/team/secrets", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	reply.Body.Close()
	assert.Equal(t, http.StatusMethodNotAllowed, reply.StatusCode, "nothing is ever made here")
	assert.Contains(t, string(s.Kubeconfig()), `server: "`+s.URL+`"`)
}

func TestSplitAPI(t *testing.T) {
	for api, want := range map[string][2]string{
		"v1": {"v1", ""}, "v1/Pod": {"v1", "Pod"}, "apps/v1": {"apps/v1", ""}, "apps/v1/Deployment": {"apps/v1", "Deployment"},
		"acme.io/v1beta1/web": {"acme.io/v1beta1", "web"}, "v1/pod": {"v1", "pod"}, "vendor/v1": {"vendor/v1", ""},
	} {
		version, kind := SplitAPI(api)
		assert.Equal(t, want, [2]string{version, kind}, api)
	}
}

func TestDescriptionThatFails(t *testing.T) {
	s, err := Start(func() (Version, []string, error) { return Version{}, nil, errors.New("the cluster is away") })
	require.NoError(t, err)
	defer s.Close()
	reply, err := http.Get(s.URL + "/version")
	require.NoError(t, err)
	reply.Body.Close()
	assert.Equal(t, http.StatusInternalServerError, reply.StatusCode)
}
