package helmtext

import (
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// DeletionFailed reports whether an uninstall could not delete all objects, and does not say why.
func DeletionFailed(stderr string) bool {
	return strings.HasPrefix(verdict(stderr), "failed to delete release: ")
}

// deletionReasons matches helm's reasons with --debug: "uninstall: Failed to delete release: [reasons]",
// and on Helm 4 as a field of a log line.
var deletionReasons = pattern.New(`uninstall: Failed to delete release(?:: \[(.*)\]|" error=("(?:[^"\\]|\\.)*"))`)

// WithoutLog returns what a helm that ran with --debug wrote to stderr without its log, at most the last most bytes. If
// an uninstall could not delete objects, the reasons, which are only in the log, replace their names.
func WithoutLog(stderr string, most int) string {
	if why, ok := deletionReason(stderr); ok {
		return why
	}
	last := failureText(stderr)
	before := strings.TrimSuffix(stderr, last)
	if trace := debugLine().FindStringIndex(last); trace != nil {
		last = last[:trace[0]]
	}
	said := logLine().ReplaceAllString(before+last, "")
	if len(said) > most {
		said = CutMark + strings.ToValidUTF8(said[len(said)-most+len(CutMark):], "")
	}
	return said
}

// logLine matches a line of helm's log: "client.go:518: 2026-11-27 12:29:16.98 +0000 UTC m=+0.09 [debug] …" on Helm 3,
// "level=DEBUG msg=…" on Helm 4.
var logLine = pattern.New(`(?m)^(\w+\.go:\d+: .*\[debug\] |(time=\S+ )?level=DEBUG ).*(\n|$)`)

// AwaitsDeletion reports whether a line of the log of an uninstall says that helm has requested the deletion of objects,
// and begins to wait until they are gone. It also waits for hooks that it deletes.
func AwaitsDeletion(line string) bool { return awaitsDeletion().MatchString(line) }

var awaitsDeletion = pattern.New(`^(wait\.go:\d+: .*\[debug\] beginning wait for \d+ resources to be deleted with timeout of |` +
	`(time=\S+ )?level=DEBUG msg="beginning wait for resources to be deleted" )`)

// PurgesRecord reports whether a line of the log of an uninstall says that helm begins to remove the record.
func PurgesRecord(line string) bool { return purgesRecord().MatchString(line) }

var purgesRecord = pattern.New(`^(uninstall\.go:\d+: .*\[debug\] purge requested for |(time=\S+ )?level=DEBUG msg="purge requested" )`)

// deletionReason returns the reasons why objects were not deleted; false if the log has none.
func deletionReason(stderr string) (string, bool) {
	found := deletionReasons().FindAllStringSubmatch(stderr, -1)
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

// unsettled texts do not say what happened to the release: it may exist, half made or whole.
var unsettled = pattern.New(strings.Join([]string{
	`context deadline exceeded`, `timed out waiting for the condition`, `failed (pre|post)-\w+`, `(pre|post)-\w+ hooks failed`,
	`not ready`, `has been uninstalled due to`, `would exceed context deadline`, `client rate limiter wait`,
}, "|"))

// NotReadyInTime reports whether helm gave up waiting for objects it had created.
func NotReadyInTime(stderr string) bool {
	text := strings.ToLower(failureText(stderr))
	return unsettled().MatchString(text) && !passing(text) && !hookRefused().MatchString(verdict(stderr))
}

// hookRefused matches helm's message if the API server refuses a hook: nothing waits to get ready.
var hookRefused = pattern.New(`^(\w+ failed: )?(failed (pre|post)-\w+: |(pre|post)-\w+ hooks failed: )?(warning: hook \S+ .+ failed: |unable to build kubernetes object for \S+ hook )`)

// unrecorded matches helm's message if it gives up before it has recorded a release, which it does
// before it makes any of its objects. CRDs and the namespace may exist already.
var unrecorded = pattern.New(`^installation failed: (unable to continue with install: |unable to build kubernetes objects from release manifest: |create: failed to create: |failed to install crd )`)

// RecordedNothing reports whether an install says that it has recorded nothing.
func RecordedNothing(stderr string) bool { return unrecorded().MatchString(verdict(stderr)) }

// SawNothing reports whether a Helm 4 that gave up waiting had seen none of the objects it waited
// for.
func SawNothing(stderr string) bool {
	text := strings.ToLower(failureText(stderr))
	const unknown = "not ready. status: unknown"
	return strings.Contains(text, unknown) && strings.Count(text, "not ready. status: ") == strings.Count(text, unknown)
}

// HookFailed reports whether helm failed while it ran the hooks of an event, such as "pre-install".
func HookFailed(stderr, event string) bool {
	return strings.Contains(strings.ToLower(stderr), "failed "+event)
}

// SkippedObjects reports whether a Helm 4 uninstall did not even try to delete some objects,
// because its request for their owner failed, or because somebody removed their ownership
// annotation. It still removes the record, and calls that a success.
func SkippedObjects(said string) bool {
	said = strings.ToLower(said)
	return strings.Contains(said, "ownership could not be verified") || strings.Contains(said, "not owned by this release")
}

// RecordRemoved reports whether a failed uninstall has removed the record: helm collects what
// failed after the objects were deleted, but still removes the record, if it can.
func RecordRemoved(stderr string) bool {
	text := strings.ToLower(stderr)
	return strings.Contains(text, "uninstallation completed with") && !strings.Contains(text, "failed to purge the release")
}

// PurgedByAnother reports whether an uninstall found its record already gone when it wanted to
// remove it.
func PurgedByAnother(stderr string) bool { return purgedByAnother().MatchString(verdict(stderr)) }

// Helm reads the record and deletes it then; in between the API server says that it is gone.
var purgedByAnother = pattern.New(`uninstall: failed to purge the release: (release: not found|(secrets|configmaps) "[^"]+" not found)$`)

// AlreadyDeleted reports whether an uninstall found its release recorded as uninstalled.
func AlreadyDeleted(stderr string) bool { return strings.Contains(stderr, "is already deleted") }

// Forbidden reports whether the API server refused something to the user that helm came as.
func Forbidden(stderr string) bool { return strings.Contains(verdict(stderr), "is forbidden") }

// MissingRight is the right that the API server says is missing, such as "list pods at the cluster scope"; "" if it says
// nothing of that kind.
func MissingRight(stderr string) string {
	found := missingRight().FindStringSubmatch(stderr)
	if found == nil {
		return ""
	}
	resource := found[2]
	if found[3] != "" {
		resource += "." + found[3]
	}
	return found[1] + " " + resource + found[4]
}

var missingRight = pattern.New(`is forbidden: User "[^"]*" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"((?: at the cluster scope| in the namespace "[^"]+")?)`)

// BadObjects reports whether helm rendered a chart and could not read what came out, or the cluster does not serve its
// kinds.
func BadObjects(stderr string) bool { return badObjects().MatchString(verdict(stderr)) }

var badObjects = pattern.New(`^(\w+ failed: )?unable to (build kubernetes objects from release manifest: |` +
	`continue with install: (metadata\.name and metadata\.generatename|could not get information about the resource \w+ "" ))`)
