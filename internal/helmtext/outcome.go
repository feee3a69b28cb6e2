package helmtext

import (
	"regexp"
	"strconv"
	"strings"
)

// DeletionFailed tells an uninstall that could not delete all objects, and does not say why.
func DeletionFailed(stderr string) bool {
	return strings.HasPrefix(verdict(stderr), "failed to delete release: ")
}

// deletionReasons is where helm says why with --debug: "uninstall: Failed to delete release: [reasons]",
// and on Helm 4 as a field of a log line.
var deletionReasons = regexp.MustCompile(`uninstall: Failed to delete release(?:: \[(.*)\]|" error=("(?:[^"\\]|\\.)*"))`)

// DeletionReason gives the stderr of an uninstall that ran with --debug as it reads with the reason why
// objects were not deleted in the place of their names; false where it does not say.
func DeletionReason(stderr string) (string, bool) {
	found := deletionReasons.FindAllStringSubmatch(stderr, -1)
	if !DeletionFailed(stderr) || len(found) == 0 {
		return "", false
	}
	last := found[len(found)-1]
	reason := last[1]
	if quoted, err := strconv.Unquote(last[2]); err == nil {
		reason = strings.Trim(quoted, "[]")
	}
	return "Error: failed to delete release: " + reason + "\n", true
}

// unsettled texts leave open what became of the release: it may stand, half-made or whole.
var unsettled = regexp.MustCompile(strings.Join([]string{
	`context deadline exceeded`, `timed out waiting for the condition`, `failed (pre|post)-\w+`, `(pre|post)-\w+ hooks failed`,
	`not ready`, `has been uninstalled due to`, `would exceed context deadline`, `client rate limiter wait`,
}, "|"))

// NotReadyInTime tells whether helm gave up waiting for objects it had created.
func NotReadyInTime(stderr string) bool {
	text := strings.ToLower(failureText(stderr))
	return unsettled.MatchString(text) && !passing(text) && !hookRefused.MatchString(verdict(stderr))
}

// hookRefused is what helm says when the API server does not take a hook: nothing waits to get ready.
var hookRefused = regexp.MustCompile(`^(\w+ failed: )?(failed (pre|post)-\w+: |(pre|post)-\w+ hooks failed: )?(warning: hook \S+ .+ failed: |unable to build kubernetes object for \S+ hook )`)

// unrecorded is what helm says when it gives up before it has recorded a release, which it does before
// it makes any of its objects. CRDs and the namespace can have been made by then.
var unrecorded = regexp.MustCompile(`^installation failed: (unable to continue with install: |unable to build kubernetes objects from release manifest: |create: failed to create: |failed to install crd )`)

// RecordedNothing tells whether an install says that it has recorded nothing.
func RecordedNothing(stderr string) bool { return unrecorded.MatchString(verdict(stderr)) }

// SawNothing tells whether a Helm 4 that gave up waiting had no sight of any object it waited for.
func SawNothing(stderr string) bool {
	text := strings.ToLower(failureText(stderr))
	const unknown = "not ready. status: unknown"
	return strings.Contains(text, unknown) && strings.Count(text, "not ready. status: ") == strings.Count(text, unknown)
}

// HookFailed tells a helm that failed while it ran the hooks of an event, such as "pre-install".
func HookFailed(stderr, event string) bool {
	return strings.Contains(strings.ToLower(stderr), "failed "+event)
}

// SkippedObjects tells that a Helm 4 uninstall did not even try to delete some objects, because a
// request failed by which it wanted to know whose they are, or because somebody took off them whose
// they are. It removes the record all the same, and calls that a success.
func SkippedObjects(said string) bool {
	said = strings.ToLower(said)
	return strings.Contains(said, "ownership could not be verified") || strings.Contains(said, "not owned by this release")
}

// RecordRemoved tells a failed uninstall that went on to remove the record: helm adds up what
// failed after the objects were deleted, and removes the record all the same, if it can.
func RecordRemoved(stderr string) bool {
	text := strings.ToLower(stderr)
	return strings.Contains(text, "uninstallation completed with") && !strings.Contains(text, "failed to purge the release")
}

// PurgedByAnother tells an uninstall that found its record gone when it came to removing that.
func PurgedByAnother(stderr string) bool {
	return strings.HasSuffix(verdict(stderr), "uninstall: failed to purge the release: release: not found")
}

// AlreadyDeleted tells an uninstall of a release that is recorded as uninstalled.
func AlreadyDeleted(stderr string) bool { return strings.Contains(stderr, "is already deleted") }
