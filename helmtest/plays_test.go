package helmtest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec"
	"github.com/sut-bench/helmexec/helmtest"
)

// plays has every play, with the error of helmexec that it leads to.
var plays = []struct {
	name  string
	tries int // 0 is 3
	play  func(*stage) error
	kinds []error // none is success
	says  []string
	left  string // the status of the release then, "" if there is none
	scene string // of the words that helm says, in the recordings
}{
	{
		name: "NotReady", kinds: []error{helmexec.ErrNotReady}, scene: "not-ready",
		play: func(s *stage) error {
			s.fake.NotReady(helmtest.Blocker{Pod: "sut-1", Reason: "ImagePullBackOff", Message: "Back-off pulling image"}, helmtest.Blocker{Reason: "Unschedulable", Message: "0/2 nodes are available"})
			return s.install()
		},
		says: []string{"Pod sut-1, container main: ImagePullBackOff: Back-off pulling image", "Pod sut-1: Unschedulable: 0/2 nodes are available", "removed again"},
	},
	{
		name: "NotReady, by default", kinds: []error{helmexec.ErrNotReady}, scene: "not-ready",
		play: func(s *stage) error { s.fake.NotReady(); return s.install() },
		says: []string{"Pod sut-0, container main: NotReady: running and not ready: its readiness or startup probe does not pass"},
	},
	{
		name: "NotReady, an upgrade", kinds: []error{helmexec.ErrNotReady}, left: "failed", scene: "not-ready-upgrade",
		play: func(s *stage) error { s.installed().fake.NotReady(); return s.upgrade() },
	},
	{
		name: "Hangs, and the context ends", kinds: []error{context.DeadlineExceeded}, scene: "sigterm",
		play: func(s *stage) error {
			s.fake.Hangs(helmtest.Blocker{Reason: "CrashLoopBackOff", Restarts: 9})
			ctx, end := context.WithCancelCause(s.t.Context())
			_, err := s.helm.Install(ctx, "sut", s.chart, helmexec.InstallOptions{
				Wait: true, ProgressInterval: time.Millisecond, Progress: func(p helmexec.Progress) {
					if p.Blocker != nil {
						end(context.DeadlineExceeded)
					}
				},
			})
			return err
		},
		says: []string{"CrashLoopBackOff"},
	},
	{
		name: "Hangs, and there is no hope", kinds: []error{helmexec.ErrNotReady}, scene: "sigterm",
		play: func(s *stage) error {
			s.fake.Hangs(helmtest.Blocker{Reason: "CrashLoopBackOff", Restarts: 9})
			_, err := s.helm.Install(s.t.Context(), "sut", s.chart, helmexec.InstallOptions{
				Wait: true, Timeout: time.Hour, ProgressInterval: time.Millisecond, FailFast: helmexec.FailFastRules(),
			})
			return err
		},
		says: []string{"rule crash-loop"},
	},
	{
		name: "LoseAnswer", left: "deployed",
		play: func(s *stage) error { s.fake.LoseAnswer(); return s.install() },
	},
	{
		name: "LoseAnswer, of an uninstall",
		play: func(s *stage) error { s.installed().fake.LoseAnswer(); return s.uninstall() },
	},
	{
		name: "KilledHalfWay", left: "deployed",
		play: func(s *stage) error { s.fake.KilledHalfWay(); return s.install() },
	},
	{
		name: "KilledHalfWay, an upgrade", left: "deployed",
		play: func(s *stage) error { s.installed().fake.KilledHalfWay(); return s.upgrade() },
	},
	{
		name: "KillRunner", left: "deployed",
		play: func(s *stage) error { s.installed().fake.KillRunner("bench", "sut"); return s.install() },
	},
	{
		name: "KillRunner, and another operation", kinds: []error{helmexec.ErrReleaseExists}, left: "pending-install", scene: "name-taken",
		play: func(s *stage) error {
			s.installed().fake.KillRunner("bench", "sut")
			_, err := s.helm.Install(s.t.Context(), "sut", s.chart, helmexec.InstallOptions{OperationID: "43-1"})
			return err
		},
	},
	{
		name: "NameTaken", kinds: []error{helmexec.ErrReleaseExists}, left: "deployed", says: []string{"of job 41"}, scene: "name-taken",
		play: func(s *stage) error { s.fake.NameTaken("41"); return s.install() },
	},
	{
		name: "NameTaken, by a stranger", kinds: []error{helmexec.ErrReleaseExists}, left: "deployed", scene: "name-taken",
		play: func(s *stage) error { s.fake.NameTaken(""); return s.install() },
	},
	{
		name: "Busy", kinds: []error{helmexec.ErrReleaseBusy}, left: "deployed", scene: "busy",
		play: func(s *stage) error { s.installed().fake.Busy(); return s.upgrade() },
	},
	{
		name: "Unreachable, for a while", left: "deployed", scene: "cluster-connection-refused-install",
		play: func(s *stage) error { s.fake.Unreachable(2); return s.install() },
	},
	{
		name: "Unreachable", kinds: []error{helmexec.ErrClusterUnreachable}, scene: "cluster-connection-refused-install",
		play: func(s *stage) error { s.fake.Unreachable(3); return s.install() },
	},
	{
		name: "Unreachable, an upgrade", tries: 1, kinds: []error{helmexec.ErrClusterUnreachable}, left: "deployed", scene: "cluster-connection-refused",
		play: func(s *stage) error { s.installed().fake.Unreachable(1); return s.upgrade() },
	},
	{
		name: "Unreachable, a plan", kinds: []error{helmexec.ErrClusterUnreachable}, scene: "cluster-connection-refused",
		play: func(s *stage) error {
			s.fake.Unreachable(4)
			_, err := s.helm.Plan(s.t.Context(), "sut", s.chart, helmexec.PlanOptions{})
			return err
		},
	},
	{
		name: "LeavesBehind", kinds: []error{helmexec.ErrNotGone}, says: []string{"apps/Deployment bench/sut-server"}, scene: "not-gone",
		play: func(s *stage) error { s.installed().fake.LeavesBehind(); return s.uninstall() },
	},
	{
		name: "LeavesBehind, what is named", kinds: []error{helmexec.ErrNotGone}, says: []string{"apps/Deployment bench/sut-server"}, scene: "not-gone",
		play: func(s *stage) error {
			s.installed().fake.LeavesBehind(helmexec.ObjectRef{Kind: "Deployment", Name: "sut-server"})
			return s.uninstall()
		},
	},
	{
		name: "LeavesBehind, after NotReady", kinds: []error{helmexec.ErrLeftBehind, helmexec.ErrNotReady, helmexec.ErrNotGone}, scene: "not-ready",
		play: func(s *stage) error { s.fake.NotReady(); s.fake.LeavesBehind(); return s.install() },
		says: []string{"apps/Deployment bench/sut-server"},
	},
	{
		name: "HookFails, pre-install", kinds: []error{helmexec.ErrNotReady}, says: []string{"Job job: HookFailed: the pre-install hook failed"}, scene: "pre-install-hook-failed",
		play: func(s *stage) error { s.hook("pre-install").fake.HookFails("pre-install"); return s.install() },
	},
	{
		name: "HookFails, post-install", kinds: []error{helmexec.ErrNotReady}, says: []string{"the post-install hook failed"}, scene: "post-install-hook-failed",
		play: func(s *stage) error { s.hook("post-install").fake.HookFails("post-install"); return s.install() },
	},
	{
		name: "HookFails, pre-upgrade", kinds: []error{helmexec.ErrNotReady}, left: "failed", scene: "pre-upgrade-hook-failed",
		play: func(s *stage) error {
			s.hook("pre-upgrade").installed().fake.HookFails("pre-upgrade")
			return s.upgrade()
		},
	},
	{
		name: "HookFails, post-upgrade", kinds: []error{helmexec.ErrNotReady}, left: "failed", scene: "post-upgrade-hook-failed",
		play: func(s *stage) error {
			s.hook("post-upgrade").installed().fake.HookFails("post-upgrade")
			return s.upgrade()
		},
	},
	{
		name: "HookFails, pre-delete", kinds: []error{errAny}, says: []string{"status uninstalling"}, left: "uninstalling", scene: "pre-delete-hook-failed",
		play: func(s *stage) error {
			s.hook("pre-delete").installed().fake.HookFails("pre-delete")
			return s.uninstall()
		},
	},
	{
		name: "HookFails, post-delete", kinds: []error{helmexec.ErrNotGone}, scene: "post-delete-hook-failed",
		play: func(s *stage) error {
			s.hook("post-delete").installed().fake.HookFails("post-delete")
			return s.uninstall()
		},
	},
	{
		name: "HookHangs, pre-install", kinds: []error{helmexec.ErrNotReady}, scene: "sigterm-in-hook",
		play: func(s *stage) error {
			s.hook("pre-install").fake.HookHangs("pre-install", helmtest.Blocker{Reason: "ImagePullBackOff"})
			_, err := s.helm.Install(s.t.Context(), "sut", s.chart, helmexec.InstallOptions{FailFast: helmexec.FailFastRules(), ProgressInterval: time.Millisecond})
			return err
		},
		says: []string{"rule image", "Pod sut-0, container main: ImagePullBackOff", "Job job: Hook"},
	},
	{
		name: "HookHangs, post-upgrade", kinds: []error{helmexec.ErrNotReady}, left: "failed",
		play: func(s *stage) error {
			s.hook("post-upgrade").installed().fake.HookHangs("post-upgrade", helmtest.Blocker{Reason: "CrashLoopBackOff"})
			_, err := s.helm.Upgrade(s.t.Context(), "sut", s.chart, helmexec.UpgradeOptions{FailFast: helmexec.FailFastRules(), ProgressInterval: time.Millisecond})
			return err
		},
		says: []string{"rule crash-loop", "Pod sut-0, container main: CrashLoopBackOff"},
	},
	{
		name: "Refuses, NoRights", kinds: []error{errAny}, says: []string{`User "nobody" cannot get resource "configmaps"`}, scene: "forbidden-install",
		play: func(s *stage) error { s.fake.Refuses(helmtest.NoRights); return s.install() },
	},
	{
		name: "Refuses, NoSecrets", kinds: []error{errAny}, says: []string{`cannot create resource "secrets"`}, scene: "forbidden-record",
		play: func(s *stage) error { s.fake.Refuses(helmtest.NoSecrets); return s.install() },
	},
	{
		name: "Refuses, ForeignObject", kinds: []error{errAny}, says: []string{"exists and cannot be imported"}, scene: "foreign-object",
		play: func(s *stage) error { s.fake.Refuses(helmtest.ForeignObject); return s.install() },
	},
	{
		name: "Refuses, RecordTooLong", kinds: []error{errAny}, says: []string{"Too long"}, scene: "record-too-long",
		play: func(s *stage) error { s.fake.Refuses(helmtest.RecordTooLong); return s.install() },
	},
	{
		name: "Refuses, IllegalObject", kinds: []error{errAny}, says: []string{"is invalid"}, scene: "illegal-object",
		play: func(s *stage) error { s.fake.Refuses(helmtest.IllegalObject); return s.install() },
	},
	{
		name: "Refuses, Quota", kinds: []error{errAny}, says: []string{"exceeded quota"}, scene: "quota",
		play: func(s *stage) error { s.fake.Refuses(helmtest.Quota); return s.install() },
	},
	{
		name: "Refuses, WebhookDown", tries: 1, kinds: []error{errAny}, says: []string{"failed calling webhook"}, scene: "webhook-unreachable",
		play: func(s *stage) error { s.fake.Refuses(helmtest.WebhookDown); return s.install() },
	},
	{
		name: "Refuses, WebhookDown for a moment", left: "deployed",
		play: func(s *stage) error { s.fake.Refuses(helmtest.WebhookDown); return s.install() },
	},
	{
		name: "NamespaceMissing", kinds: []error{helmexec.ErrNamespaceNotFound}, says: []string{`namespaces "bench" not found`}, scene: "namespace-not-found",
		play: func(s *stage) error { s.fake.NamespaceMissing(); return s.install() },
	},
	{
		name: "NotRecorded", kinds: []error{helmexec.ErrNotRecorded},
		play: func(s *stage) error { s.fake.NotRecorded(); return s.install() },
	},
	{
		name: "TestFails", kinds: []error{helmexec.ErrTestFailed}, says: []string{"Job job: TestFailed"}, left: "deployed", scene: "test-failed",
		play: func(s *stage) error { s.hook("test").installed().fake.TestFails(); return s.test() },
	},
	{
		name: "AnotherCluster", kinds: []error{helmexec.ErrPlanStale}, says: []string{"it is for another cluster"},
		play: func(s *stage) error {
			p, err := s.helm.Plan(s.t.Context(), "sut", s.chart, helmexec.PlanOptions{})
			require.NoError(s.t, err)
			s.fake.AnotherCluster()
			_, err = s.helm.Apply(s.t.Context(), p, helmexec.ApplyOptions{})
			return err
		},
	},
	{
		name: "Unauthorized, a repository", kinds: []error{helmexec.ErrUnauthorized}, scene: "repo-add-401",
		play: func(s *stage) error { s.fake.Unauthorized(); return s.fetch("https://charts.example/suts/web:1.2.3") },
	},
	{
		name: "Unauthorized, a registry", kinds: []error{helmexec.ErrUnauthorized}, scene: "oci-unauthorized",
		play: func(s *stage) error { s.fake.Unauthorized(); return s.fetch("oci://registry.example/suts/web:1.2.3") },
	},
	{
		name: "Unauthorized, an archive of a repository", kinds: []error{helmexec.ErrUnauthorized}, scene: "pull-archive-403",
		play: func(s *stage) error {
			_, err := s.helm.AddRepo(s.t.Context(), "https://charts.example/suts", helmexec.RepoOptions{})
			require.NoError(s.t, err)
			s.fake.Unauthorized()
			return s.fetch("https://charts.example/suts/web:1.2.3")
		},
	},
	{
		name: "ChartMissing, in a repository", kinds: []error{helmexec.ErrChartNotFound}, scene: "pull-archive-404",
		play: func(s *stage) error { s.fake.ChartMissing(); return s.fetch("https://charts.example/suts/web:1.2.3") },
	},
	{
		name: "ChartMissing, in a registry", kinds: []error{helmexec.ErrChartNotFound}, scene: "oci-unknown-chart",
		play: func(s *stage) error { s.fake.ChartMissing(); return s.fetch("oci://registry.example/suts/web:1.2.3") },
	},
	{
		name: "SourceDown, a repository", kinds: []error{helmexec.ErrRepoNotFound}, scene: "repo-add-connection-refused",
		play: func(s *stage) error { s.fake.SourceDown(3); return s.fetch("https://charts.example/suts/web:1.2.3") },
	},
	{
		name: "SourceDown, a registry for a moment", scene: "oci-connection-refused",
		play: func(s *stage) error { s.fake.SourceDown(2); return s.fetch("oci://registry.example/suts/web:1.2.3") },
	},
	{
		name: "Unverified, NoSignature in a repository", kinds: []error{helmexec.ErrUnverified}, says: []string{"has no signature that helm could fetch: failed to fetch "},
		play: func(s *stage) error {
			s.fake.Unverified(helmtest.NoSignature)
			return s.fetchSigned("https://charts.example/suts/web:1.2.3")
		},
	},
	{
		name: "Unverified, NoSignature in a registry", kinds: []error{helmexec.ErrUnverified}, says: []string{"has no signature that helm could fetch: "},
		play: func(s *stage) error {
			s.fake.Unverified(helmtest.NoSignature)
			return s.fetchSigned("oci://registry.example/suts/web:1.2.3")
		},
	},
	{
		name: "Unverified, UnknownKey", kinds: []error{helmexec.ErrUnverified}, says: []string{"signature made by unknown entity"}, scene: "verify-unknown-key",
		play: func(s *stage) error {
			s.fake.Unverified(helmtest.UnknownKey)
			return s.fetchSigned("https://charts.example/suts/web:1.2.3")
		},
	},
	{
		name: "Unverified, OtherArchive", kinds: []error{helmexec.ErrUnverified}, says: []string{"sha256 sum does not match for web-1.2.3.tgz"}, scene: "verify-other-archive",
		play: func(s *stage) error {
			s.fake.Unverified(helmtest.OtherArchive)
			return s.fetchSigned("oci://registry.example/suts/web:1.2.3")
		},
	},
}

// errAny stands for an *Error of helm without a kind.
var errAny = errors.New("helm's own")

func TestPlays(t *testing.T) {
	for _, version := range versions {
		for _, test := range plays {
			t.Run(version+"/"+test.name, func(t *testing.T) {
				s := newStage(t, version, test.tries)
				s.fake.AddChart(s.chart)
				err := test.play(s)
				if len(test.kinds) == 0 {
					require.NoError(t, err)
				}
				for _, kind := range test.kinds {
					if kind == errAny {
						require.ErrorAs(t, err, new(*helmexec.Error))
						continue
					}
					assert.ErrorIs(t, err, kind)
				}
				for _, text := range test.says {
					assert.ErrorContains(t, err, text)
				}
				r, _ := s.fake.Release("bench", "sut")
				assert.Equal(t, test.left, r.Status)
				if said := (*helmexec.Error)(nil); test.scene != "" && errors.As(err, &said) {
					text, err := os.ReadFile(filepath.Join("..", "internal", "helmtext", "testdata", "stderr", version, test.scene+".txt"))
					require.NoError(t, err)
					without := strings.ReplaceAll(string(text), "?timeout=10s", "?***") // a query can have secrets
					assert.Equal(t, nameless(without), nameless(said.Stderr), "what helm says")
				}
			})
		}
	}
}

var (
	namespaces = regexp.MustCompile(`\b(team|bench|nosuch)\b`)
	releases   = regexp.MustCompile(`\b(web|sut)\b`)
	archives   = regexp.MustCompile(`\b(plain-1\.0\.0|web-1\.2\.3)\.tgz\b`)
)

// nameless makes words of helm about different releases the same.
func nameless(words string) string {
	words = archives.ReplaceAllString(words, "ARCHIVE")
	return strings.TrimSpace(releases.ReplaceAllString(namespaces.ReplaceAllString(words, "NAMESPACE"), "RELEASE"))
}

// A test that kills the runner of a release that is not there tests nothing.
func TestKillRunnerWantsARelease(t *testing.T) {
	fails := &inExample{TB: t}
	t.Cleanup(fails.end)
	fake := helmtest.New(fails)
	fake.SetRelease(helmtest.Release{Name: "web", Namespace: "bench"})
	assert.PanicsWithValue(t, `helmtest: KillRunner: there is no release default/web; recorded are ["bench/web"]`, func() { fake.KillRunner("", "web") })
	fake.KillRunner("bench", "web")
}

// A runner that cleans up when it returns can be killed, too, as docs/testing.md says.
func TestKillRunnerThatCleansUp(t *testing.T) {
	s := newStage(t, "v4.3.1", 3)
	runner := func() {
		require.NoError(t, s.install())
		require.NoError(t, s.uninstall())
	}
	var made helmtest.Release
	s.fake.Handle("uninstall", func(c helmtest.Call) helmtest.Reply {
		if made.Name == "" {
			made, _ = s.fake.Release(c.Flag("--namespace"), c.Arg(0))
		}
		return s.fake.Perform(c)
	})
	runner()
	s.fake.SetRelease(made)
	s.fake.KillRunner(made.Namespace, made.Name)
	runner()
	assert.Equal(t, []string{"install sut", "uninstall sut", "install sut", "uninstall sut", "install sut", "uninstall sut"}, s.fake.Steps())
}
