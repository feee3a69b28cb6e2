package helmtext

import (
	"strings"

	"github.com/sut-bench/helmexec/internal/pattern"
)

// CutMark marks a text of which only the end was kept.
const CutMark = "… "

// Reason is helm's reason for a failure, on one short line. Of a dry run it does not say that an install or upgrade failed.
func Reason(stderr string, dryRun bool) string {
	const limit = 600
	text := failureText(stderr)
	for _, noise := range []string{"Hang tight while we grab the latest from your chart repositories...", "Use --debug flag to render out invalid YAML"} {
		text = strings.ReplaceAll(text, noise, "")
	}
	r := strings.Join(strings.Fields(strings.TrimPrefix(text, "Error: ")), " ")
	r = aboutRepo().ReplaceAllString(r, "")
	if dryRun {
		r = changeFailed().ReplaceAllString(r, "")
	}
	if len(r) > limit {
		r = strings.ToValidUTF8(r[:limit/2], "") + " … " + strings.ToValidUTF8(r[len(r)-limit/2:], "")
	}
	return r
}

// aboutRepo matches what helm prints about a repository before it says what is wrong.
var aboutRepo = pattern.New(`^(?i:failed to update the following repositories: \[\S*\] \.\.\.unable to get an update from the "\S+" chart repository \(\S+\): |` +
	`looks like "\S+" is not a valid chart repository or cannot be reached: )`)

// changeFailed is what helm prints before the reason why an install or upgrade failed.
var changeFailed = pattern.New(`^(INSTALLATION|UPGRADE) FAILED: `)

// failureText is stderr from its last "Error:" line on. Before it are warnings and, on Helm 4, log
// lines; the reason can be on a later line than "Error:".
func failureText(stderr string) string {
	at := strings.LastIndex(stderr, "\nError:")
	switch {
	case at >= 0:
		return stderr[at+1:]
	default:
		return stderr
	}
}
