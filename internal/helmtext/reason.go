package helmtext

import (
	"regexp"
	"strings"
)

// CutMark stands for the beginning of a text of which only the end was kept, so that this is not taken
// for the whole.
const CutMark = "… "

// Reason is what helm said went wrong, on one line of bearable length.
func Reason(stderr string) string {
	const limit = 600
	text := failureText(stderr)
	for _, noise := range []string{"Hang tight while we grab the latest from your chart repositories...", "Use --debug flag to render out invalid YAML"} {
		text = strings.ReplaceAll(text, noise, "")
	}
	r := strings.Join(strings.Fields(strings.TrimPrefix(text, "Error: ")), " ")
	r = aboutRepo.ReplaceAllString(r, "")
	if len(r) > limit {
		r = strings.ToValidUTF8(r[:limit/2], "") + " … " + strings.ToValidUTF8(r[len(r)-limit/2:], "")
	}
	return r
}

// aboutRepo is what helm says of a repository before it says what is wrong.
var aboutRepo = regexp.MustCompile(`^(?i:failed to update the following repositories: \[\S*\] \.\.\.unable to get an update from the "\S+" chart repository \(\S+\): |` +
	`looks like "\S+" is not a valid chart repository or cannot be reached: )`)

// failureText is stderr from its last "Error:" line on. What stands before it is warnings and, on
// Helm 4, log lines; the reason can stand on a later line than "Error:" itself.
func failureText(stderr string) string {
	at := strings.LastIndex(stderr, "\nError:")
	switch {
	case at >= 0:
		return stderr[at+1:]
	default:
		return stderr
	}
}
