package helmexec

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of failure a caller can act on, reachable with errors.Is.
var (
	// ErrHelmNotFound: no helm binary at Config.Binary or on PATH.
	ErrHelmNotFound = errors.New("helm binary not found")
	// ErrUnsupportedVersion: the binary is Helm 2, or older than the oldest version this package drives.
	ErrUnsupportedVersion = errors.New("unsupported helm version")
	// ErrInvalidArgument: an argument was refused before any process started.
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrReleaseExists: the release name is in use by a release that this operation did not make.
	ErrReleaseExists = errors.New("release already exists")
	// ErrReleaseNotFound: no release of that name in the namespace.
	ErrReleaseNotFound = errors.New("release not found")
	// ErrNamespaceNotFound: a namespace does not exist, that of the release, which
	// InstallOptions.CreateNamespace makes, or another one that the chart puts objects into.
	ErrNamespaceNotFound = errors.New("namespace not found")
	// ErrReleaseBusy: another install, upgrade or rollback of the release is in progress.
	ErrReleaseBusy = errors.New("another operation on the release is in progress")
	// ErrChartNotFound: the repository, registry or path has no such chart or chart version.
	ErrChartNotFound = errors.New("chart not found")
	// ErrBadChart: an archive or folder is there, and is no chart that can be read and trusted.
	ErrBadChart = errors.New("not a sound chart")
	// ErrRepoNotFound: the repository is not known, or nothing that serves charts answers at its
	// address; the same of a registry, and of the server of an archive.
	ErrRepoNotFound = errors.New("chart repository not found")
	// ErrUnauthorized: a repository, registry or web server wants other credentials than it was given.
	// It is an ErrRepoNotFound too.
	ErrUnauthorized = fmt.Errorf("%w: it wants other credentials", ErrRepoNotFound)
	// ErrRenderFailed: the chart does not render: not at all, or not with these values.
	ErrRenderFailed = errors.New("the chart does not render")
	// ErrRenderTooLarge: rendering the chart takes more memory than Config.Limits.RenderMemory, or its
	// manifest has more bytes than RenderOutput. It is an ErrRenderFailed too.
	ErrRenderTooLarge = fmt.Errorf("%w: it is too large", ErrRenderFailed)
	// ErrRenderTimeout: rendering the chart takes more processor time than Config.Limits.RenderTime. It
	// is an ErrRenderFailed too.
	ErrRenderTimeout = fmt.Errorf("%w: it takes too long", ErrRenderFailed)
	// ErrClusterUnreachable: the Kubernetes API did not answer, or no way to it could be made of the
	// kubeconfig and its credentials.
	ErrClusterUnreachable = errors.New("kubernetes cluster unreachable")
	// ErrNotReady: the objects were created and did not become ready in time.
	ErrNotReady = errors.New("release not ready")
	// ErrTestFailed: a test of the release failed or did not end in time.
	ErrTestFailed = errors.New("release test failed")
	// ErrNotGone: the release record is removed and some of its objects are still there.
	ErrNotGone = errors.New("objects of the release are not gone")
	// ErrLeftBehind: the operation failed, and so did removing what it had made.
	ErrLeftBehind = errors.New("left behind in the cluster")
	// ErrHooksNotTransformed: Helm 3 would run the chart's hooks without the Transform.
	ErrHooksNotTransformed = errors.New("helm 3 does not transform hooks")
	// ErrLintFailed: a chart has faults.
	ErrLintFailed = errors.New("chart does not pass lint")
	// ErrDigestMismatch: an archive is not the one that the repository's index names.
	ErrDigestMismatch = errors.New("chart digest mismatch")
	// ErrFetchTimeout: a repository, registry or web server took longer than Config.Limits.Time.
	ErrFetchTimeout = errors.New("fetch timed out")
	// ErrOutputTooLarge: something read from outside is larger than its cap.
	ErrOutputTooLarge = errors.New("output too large")
	// ErrBadManifest: a document of a manifest cannot be read.
	ErrBadManifest = errors.New("bad manifest")
)

// Error is a helm process that failed. Its kind, where one is known, and its cause are reachable
// with errors.Is; the text is the reason that helm gave, shortened.
type Error struct {
	Args     []string // as given to helm, without secrets; printable
	ExitCode int      // -1 when a signal ended helm or it never started
	Signal   string   // the signal that ended helm, "" when it exited by itself
	Stderr   string   // the end of what helm said, without secrets; printable

	subject   string // what the process was about, where its first positional does not tell a reader
	kind      error  // a sentinel of this package
	cause     error  // why helm was stopped or could not be started
	advice    string // what may help, "" when nobody knows
	transient bool
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("helm")
	for _, word := range e.Args {
		if strings.HasPrefix(word, "-") {
			break
		}
		b.WriteString(" " + word)
	}
	if at := slices.Index(e.Args, "--"); e.subject != "" {
		b.WriteString(" " + e.subject)
	} else if at > 0 && at+1 < len(e.Args) {
		b.WriteString(" " + e.Args[at+1])
	}
	b.WriteString(": " + e.why())
	if e.advice != "" {
		b.WriteString(" (" + e.advice + ")")
	}
	return b.String()
}

// why is what ended it, and what helm said of that.
func (e *Error) why() string {
	said := e.reason()
	if e.cause != nil && strings.HasSuffix(said, context.Canceled.Error()) {
		said = "" // that is our signal, in helm's words
	}
	var why string
	switch {
	case e.cause != nil:
		why = e.cause.Error()
	case e.Signal != "":
		why = "ended by signal: " + e.Signal
	case said != "":
		return said
	case e.kind != nil:
		return e.kind.Error()
	default:
		return fmt.Sprintf("exit status %d", e.ExitCode)
	}
	if said != "" {
		why += ": " + said
	}
	return why
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.cause, e.kind} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// reason is what helm said went wrong, on one line of bearable length.
func (e *Error) reason() string {
	const limit = 600
	text := failureText(e.Stderr)
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

// printable shows what others wrote: of a text in any language it leaves all that has a shape or is
// a space, and makes the rest visible. So nothing in it moves the cursor of a terminal, changes the
// order or the look of the letters around it, or stands there unseen: no control character, no format
// character such as a bidirectional override, no line separator, no invalid UTF-8. keep are control
// characters that stay: line breaks and tabs, where a text may have several lines.
func printable(text, keep string) string {
	shows := func(r rune) bool { return unicode.IsGraphic(r) && r != utf8.RuneError || strings.ContainsRune(keep, r) }
	if !strings.ContainsFunc(text, func(r rune) bool { return !shows(r) }) {
		return text
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(text); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == utf8.RuneError || shows(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// lines are what a text of several lines may have between its words.
const lines = "\n\t"

// legibleError is an error whose text others wrote in part.
type legibleError struct{ error }

func (e legibleError) Error() string { return printable(e.error.Error(), lines) }
func (e legibleError) Unwrap() error { return e.error }

// legible makes the text of an error printable that quotes what others wrote.
func legible(err error) error {
	if err == nil || printable(err.Error(), lines) == err.Error() {
		return err
	}
	return legibleError{err}
}

func invalidf(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidArgument}, a...)...)
}

// shownAddress is an address without what may be a password or a token in it. It may not even parse.
func shownAddress(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
		text := plain.String()
		if u.User != nil {
			text = strings.Replace(text, "://", "://***@", 1)
		}
		if u.RawQuery != "" {
			text += "?***"
		}
		return text
	}
	shown, _, query := strings.Cut(address, "?")
	scheme, rest, isURL := strings.Cut(shown, "://")
	if !isURL {
		scheme, rest = "", shown
	}
	body, digest, _ := strings.Cut(rest, "@sha256:")
	if at := strings.LastIndexByte(body, '@'); at >= 0 {
		body = "***@" + body[at+1:]
	}
	if digest != "" {
		body += "@sha256:" + digest
	}
	if isURL {
		body = scheme + "://" + body
	}
	if query {
		body += "?***"
	}
	return body
}

var userinfo = regexp.MustCompile(`(://)[^/\s"']+@`)

// archiveQuery is the query of an archive's address, which can be a signature or a token.
var archiveQuery = regexp.MustCompile(`(\.(?:tgz|tar\.gz)\?)[^\s"']+`)

// redactor takes out secrets: those given, the userinfo of any URL, and the query of an archive's.
func redactor(secrets []string) func(string) string {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, "***", url.QueryEscape(s), "***")
		}
	}
	known := strings.NewReplacer(pairs...)
	return func(s string) string {
		return archiveQuery.ReplaceAllString(userinfo.ReplaceAllString(known.Replace(s), "${1}***@"), "${1}***")
	}
}
