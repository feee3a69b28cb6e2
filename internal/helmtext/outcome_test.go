package helmtext

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecordRemoved(t *testing.T) {
	for scene, want := range map[string]bool{
		"not-gone": true, "post-delete-hook-failed": true,
		"pre-delete-hook-failed": false, "uninstall-not-found": false, "cluster-connection-refused": false,
	} {
		files, err := filepath.Glob("testdata/stderr/*/" + scene + ".txt")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, want, RecordRemoved(string(text)), file)
		}
	}
	assert.False(t, RecordRemoved("Error: uninstallation completed with 2 error(s): timed out; uninstall: Failed to purge the release: EOF"))
}

// Helm says only with --debug why it could not delete objects.
func TestReasonIsInTheLog(t *testing.T) {
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		text, err := os.ReadFile("testdata/stderr/" + version + "/forbidden-uninstall-debug.txt")
		require.NoError(t, err)
		assert.True(t, DeletionFailed(string(text)))
		why := WithoutLog(string(text), len(text))
		assert.Equal(t, `failed to delete release: configmaps "plain" is forbidden: `+
			`User "no-delete" cannot delete resource "configmaps" in API group "" in the namespace "team"`, Reason(why, false))
		_, again := KindOf(why, false)
		assert.False(t, again)

		text, err = os.ReadFile("testdata/stderr/" + version + "/forbidden-uninstall.txt")
		require.NoError(t, err)
		assert.True(t, DeletionFailed(string(text)))
		assert.Equal(t, string(text), WithoutLog(string(text), len(text)), "it does not say why")
	}
}

// An uninstall with --debug that waits in vain.
func TestLogOfAnUninstall(t *testing.T) {
	for _, version := range []string{"v3.22.0", "v4.3.1"} {
		text, err := os.ReadFile("testdata/stderr/" + version + "/not-gone-debug.txt")
		require.NoError(t, err)
		var awaits, purges []int
		for i, line := range strings.Split(string(text), "\n") {
			if AwaitsDeletion(line) {
				awaits = append(awaits, i)
			}
			if PurgesRecord(line) {
				purges = append(purges, i)
			}
		}
		require.Len(t, awaits, 1, version)
		require.Len(t, purges, 1, version)
		assert.Less(t, awaits[0], purges[0], version)

		said := WithoutLog(string(text), len(text))
		assert.Equal(t, "Error: uninstallation completed with 1 error(s): context deadline exceeded\n", said, version)
		assert.True(t, RecordRemoved(said))
		assert.True(t, NotReadyInTime(said))
		assert.Equal(t, CutMark+said[len(said)-10:], WithoutLog(string(text), len(CutMark)+10))
	}
	for _, line := range []string{
		"beginning wait for 2 resources to be deleted with timeout of 5m0s",
		`level=INFO msg="beginning wait for resources to be deleted" count=2`,
		"wait.go:50: 2026 [debug] beginning wait for 2 resources with timeout of 5m0s",
		"purge requested for web",
	} {
		assert.False(t, AwaitsDeletion(line) || PurgesRecord(line), line)
	}
	const printed = "Error: 1\nhelm.go:1: 2026 [debug] 2\nError: release: not found\n"
	assert.Equal(t, "Error: 1\nError: release: not found\n", WithoutLog(printed, 1000), "a hook can print anything")
}

// Helm's messages before it has recorded a release.
func TestRecordedNothing(t *testing.T) {
	for scene, want := range map[string]bool{
		"forbidden-record": true, "forbidden-install": true, "unknown-kind": true, "foreign-object": true, "record-too-long": true,
		"forbidden-hook": false, "illegal-object": false, "not-ready": false, "name-taken": false, "cluster-eof": false,
	} {
		for _, version := range []string{"v3.22.0", "v4.3.1"} {
			text, err := os.ReadFile("testdata/stderr/" + version + "/" + scene + ".txt")
			require.NoError(t, err)
			assert.Equal(t, want, RecordedNothing(string(text)), "%s: %s", version, text)
		}
	}
}

// What helm prints on stdout about objects that it left.
func TestSkippedObjects(t *testing.T) {
	assert.True(t, SkippedObjects("2 resource(s) were not deleted because their ownership could not be verified:"))
	assert.True(t, SkippedObjects("1 resource(s) are Not owned by this release"))
	assert.False(t, SkippedObjects(`release "web" uninstalled`))
}

func TestHookFailed(t *testing.T) {
	for _, test := range []struct{ scene, event string }{
		{"pre-install-hook-failed", "pre-install"}, {"pre-install-hook-timeout", "pre-install"}, {"post-install-hook-failed", "post-install"},
	} {
		for _, version := range []string{"v3.22.0", "v4.3.1"} {
			text, err := os.ReadFile("testdata/stderr/" + version + "/" + test.scene + ".txt")
			require.NoError(t, err)
			for _, event := range []string{"pre-install", "post-install"} {
				assert.Equal(t, event == test.event, HookFailed(string(text), event), "%s: %s", event, text)
			}
		}
	}
}

// Somebody else can remove the record before helm reads it, and between its read and its request to delete.
func TestPurgedByAnother(t *testing.T) {
	const failed = "Error: uninstallation completed with 1 error(s): uninstall: Failed to purge the release: "
	assert.True(t, PurgedByAnother(failed+"release: not found\n"))
	assert.True(t, PurgedByAnother(failed+`secrets "sh.helm.release.v1.web.v1" not found`+"\n"))
	assert.True(t, PurgedByAnother(failed+`configmaps "sh.helm.release.v1.web.v1" not found`+"\n"))
	assert.False(t, PurgedByAnother(failed+`secrets "sh.helm.release.v1.web.v1" is forbidden: User "u" cannot delete`+"\n"))
	assert.False(t, PurgedByAnother(failed+`namespaces "team" not found`+"\n"))
}

func TestBadObjects(t *testing.T) {
	for text, want := range map[string]bool{
		`INSTALLATION FAILED: unable to build kubernetes objects from release manifest: resource mapping not found for name: "a" namespace: "" from "": no matches for kind "Web" in version "acme.io/v1"`: true,
		`INSTALLATION FAILED: Unable to continue with install: could not get information about the resource Pod "" in namespace "team": resource name may not be empty`:                                    true,
		`INSTALLATION FAILED: unable to continue with install: metadata.name and metadata.generateName cannot both be set, want one of them`:                                                               true,
		`INSTALLATION FAILED: unable to continue with install: could not get information about the resource ConfigMap "plain" in namespace "team": configmaps "plain" is forbidden`:                        false,
		`INSTALLATION FAILED: unable to continue with install: Pod "web" in namespace "team" exists and cannot be imported into the current release`:                                                       false,
		`INSTALLATION FAILED: failed pre-install: unable to build kubernetes objects from release manifest: no`:                                                                                            false,
	} {
		assert.Equal(t, want, BadObjects("Error: "+text+"\n"), text)
	}
	assert.True(t, Forbidden("Error: template: a: error calling lookup: namespaces \"kube-system\" is forbidden: User \"runner\" cannot get\n"))
	assert.False(t, Forbidden("Error: connection refused\n"))
}

func TestMissingRight(t *testing.T) {
	for text, want := range map[string]string{
		`Error: list: failed to list: secrets is forbidden: User "nobody" cannot list resource "secrets" in API group "" in the namespace "team"`: `list secrets in the namespace "team"`,
		`error calling lookup: nodes is forbidden: User "a b" cannot list resource "nodes" in API group "" at the cluster scope`:                  "list nodes at the cluster scope",
		`jobs.batch "job" is forbidden: User "x" cannot patch resource "jobs" in API group "batch" in the namespace "team"`:                       `patch jobs.batch in the namespace "team"`,
		`configmaps "plain" is forbidden: exceeded quota: none, requested: count/configmaps=1`:                                                    "",
		"": "",
	} {
		assert.Equal(t, want, MissingRight(text), text)
	}
}
