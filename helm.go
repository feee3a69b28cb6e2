// Package helmexec drives the helm command line, Helm 3 and Helm 4, for programs that install charts
// of other people: benchmark orchestrators, job runners, test beds. It needs Go 1.26 or later and a
// helm binary. It links neither the Helm SDK nor a Kubernetes client.
//
//	helm, err := helmexec.New(helmexec.Config{Namespace: "bench"})
//	plan, err := helm.Plan(ctx, helmexec.SUTHelmName("42", "my_web_app"), "https://charts.example/suts/webapp:0.3.1",
//		helmexec.PlanOptions{})
//	release, err := helm.Apply(ctx, plan, helmexec.ApplyOptions{Wait: true, OperationID: "42/1", JobID: "42"})
//	removed, err := helm.Uninstall(ctx, release.Name, helmexec.UninstallOptions{Wait: true})
//
// # Addresses
//
// The address of a chart is one string: the URL of a repository followed by the chart's name, an oci://
// reference, the URL of an archive, repo/chart with a repository added by [Helm.AddRepo], or a path;
// [Helm.Chart2Info] lists the forms. A version follows after a colon. Every call that takes a chart
// accepts all forms. [Helm.Fetch] downloads the chart into the cache of the home. A later call with the
// path of that file reads the same bytes, whatever the repository serves then. Package chart reads such a
// file, or a folder, without helm.
//
// # Exactly once
//
// Helm's answer can be lost: the connection breaks, or the process or its runner is killed. Then the
// name of the release is taken, and helm can neither continue nor start again. [Helm.Install] gives
// each operation an id, which is stored on the release. After a try with an unknown outcome, it looks
// for the release and decides from what it finds. [InstallOptions].OperationID keeps the id across
// restarts of a runner. The call ends with the release, or with an error after what it made was
// removed, or with [ErrLeftBehind] and the list of what could not be removed. [Helm.Upgrade],
// [Helm.Rollback] and [Helm.Uninstall] handle a lost answer in the same way. The file
// docs/exactly-once.md of the source has the details.
//
// # Retries and contexts
//
// [Config].Retry says how often and how fast a call is repeated after a failure that may pass; see
// [IsTransient]. By default that is three tries, one second apart. Calls that only read from the
// cluster (List, Status, History, the Get calls) and Template are made once.
//
// When a context ends, helm gets a SIGTERM and has [Config].GracePeriod to finish its record before
// its process group is killed; within the same period an install removes what it made. Then errors.Is
// finds [context.Canceled] or [context.DeadlineExceeded] in the error. If helm had already succeeded,
// the call succeeds.
//
// # Homes and concurrency
//
// One [Helm] serves any number of goroutines, and any number of processes may share a home.
// [Config].Home is a private folder by default: no HELM_* variable, plugin or repository of the user
// has an effect, and helm gets only a list of the program's environment (docs/security.md). Each repository has its own folder in it, so that a hostile one cannot replace the
// charts of another. A home that other users of the host can change is refused. At most
// [Config].MaxProcesses helms run at once; a waiting caller gives up when its context ends.
//
// # Observing
//
// [Config].Observer sees every operation and every helm process begin and end, for traces and metrics; [Config].Logger
// gets a line for each process. The module otelhelm gives them to OpenTelemetry. The file docs/observability.md of the
// source has the details.
//
// # Plans
//
// What a chart renders to can be another thing at each render, and another thing to each reader.
// [Helm.Plan] renders a chart once and shows what it would run: images, GPUs, objects, hooks, CRDs, as
// Kubernetes reads them. [Helm.Apply] installs or upgrades exactly that. Package plan has the type, package
// policy rules that decide whether it may run; docs/plan.md and docs/policy.md of the source have the details.
//
// # Images and GPUs
//
// Before anything is installed, [Helm.Chart2Images] lists what a cluster will pull for a chart and
// [Helm.Chart2GPUs] which accelerators it asks for; [Helm.Inspect] gives both and more from one
// render. They read the rendered manifest as YAML, including Argo workflows and other custom
// resources that make pods. [Manifest.ImageReport] gives the place of each image, and
// [Manifest.Retag] rewrites images in place. [GPUReport.Fits] says whether given nodes can hold the
// pods. All of this is in package manifest, which needs no helm; its names are repeated here.
//
// # Errors
//
// Use errors.Is with the Err variables to tell errors apart, never their text. The text is
// printable, whatever a chart or a server said. A failed helm process is an [*Error], with its
// arguments, free of secrets, and the end of its stderr. A failed change of a release is a
// [*ReleaseError]: it has the status of the release, why it is not ready, pod by pod, and what stays
// in the cluster.
package helmexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/fetch"
	"github.com/sut-bench/helmexec/internal/home"
)

// UserHome as Config.Home makes helm use its own folders: the user's repositories, registry
// log-ins, plugins and environment. Use it for a tool on a person's machine; a service that
// handles charts of strangers needs a private home.
const UserHome = "\x00user" // a name that no folder can have

// Config says how helm is driven. The zero value works: "helm" on PATH and a private home.
type Config struct {
	// Binary is the path of helm, or a name looked up on PATH. Default "helm".
	Binary string
	// MinVersion is the oldest helm that may run, as "v3.20.2"; for each major version one, as "v3.20.2, v4.1.4".
	// An older one is refused before anything else (ErrUnsupportedVersion). Version.Advisories says what is known
	// against a version. Default is what this package works with: v3.14 and v4.0.
	MinVersion string
	// Home is the folder of helm's configuration, cache and data. Default is <user cache>/helmexec. It has to be empty or missing at
	// first, since New removes old files in it: a folder of somebody else's files is refused. A relative path is taken from the
	// working directory that the program has when it calls New.
	// It is made with mode 0700. A home that belongs to another user, or that others can change, is
	// refused (ErrInvalidArgument), now or when the next helm would start. The environment's HELM_*
	// variables and the user's own helm set-up have no effect on it. UserHome means Helm's own
	// defaults.
	Home string
	// Kubeconfig is the path of a kubeconfig file. Default is what helm finds by itself.
	Kubeconfig string
	// KubeContext names a context of the kubeconfig.
	KubeContext string
	// KubeconfigData is the text of a kubeconfig, for a program that has no file of it. Paths in it must be absolute.
	// Each helm that talks to a cluster gets it as a file of mode 0600 in the home, which is removed when helm ends. It excludes
	// Kubeconfig here; the Kubeconfig of a call replaces it.
	KubeconfigData []byte
	// KubeToken is a bearer token for the API server, over that of the kubeconfig. Helms that talk to a cluster get it
	// by their environment, never as an argument. It does not replace a client certificate. It is for the cluster of this
	// Config: a call whose Kubeconfig or KubeContext is another one is refused (ErrInvalidArgument) before helm starts.
	KubeToken string
	// KubeTokenSource gives such a token when a helm is about to start, instead of KubeToken, for tokens that expire while the
	// program runs. Any number of goroutines call it, before each helm that talks to the cluster, so it should keep a token
	// until it has to be renewed, and it has to return when its context ends. A helm cannot renew its own: it should be valid
	// for as long as the longest wait. Its error ends the call, with ErrClusterUnreachable, and is not retried.
	KubeTokenSource func(context.Context) (string, error)
	// Namespace is used by every call that names none.
	Namespace string
	// Env is added to helm's environment, over everything else. Log-ins to a cluster, such as AWS_* and
	// HELM_KUBETOKEN, go only to helms that talk to one.
	Env map[string]string
	// PassEnv names further variables of this program's environment for helms that talk to a cluster, as
	// "VAULT_ADDR" or, with a '*' at the end, "VAULT_*". Without it they get PATH, proxies, and what programs
	// that log in to the usual clouds need (docs/security.md of the source has the list); other helms get less.
	// With UserHome every helm gets the whole environment.
	PassEnv []string
	// Retry says how often and how fast calls are repeated.
	Retry Retry
	// MaxProcesses is how many helm processes may run at once. Default is what the memory
	// available at New allows at 75 MB each, and at least 64.
	MaxProcesses int
	// GracePeriod is how long helm has, after its SIGTERM at the end of a context, to put its
	// record in order before its process group is killed. Default 30 s.
	GracePeriod time.Duration
	// Keyring is that of every chart that is fetched without another one (SourceOptions.Keyring): only charts that were
	// signed with one of its keys are then read, rendered and installed. Lint does not verify, and neither does Apply, not even
	// a plan that was made without a keyring: there the plan's digest is what was approved.
	Keyring string
	// Limits apply to what is fetched from repositories, registries and web servers, and to rendering
	// charts.
	Limits Limits
	// MaxHistory is how many revisions of a release helm keeps at an upgrade or rollback. 0 is Helm's default, 10; -1 keeps all.
	// Helm never removes the deployed revision, so at least two are left after an upgrade. It is over HELM_MAX_HISTORY in this
	// program's environment, and below that in Env.
	MaxHistory int
	// RememberRenders is how many bytes of rendered manifests Inspect, Chart2Images and Chart2GPUs
	// keep in memory, so that the same chart with the same values is rendered once. 0 is 64 MiB, -1 none,
	// and then none is kept in the home either.
	RememberRenders int64
	// KeepRenders is about how many bytes of these manifests are kept in the home, in the folder renders, so that other
	// processes do not render the same again. 0 is 256 MiB, -1 none. Only charts in the cache of the home count,
	// without FromCluster and Transform. A manifest can contain secrets: those of the values, and those that the chart
	// makes up. The files have mode 0600 and stay until more recently used ones need the room, or until somebody
	// removes the folder, which is safe at any time.
	KeepRenders int64
	// Logger gets one line for each helm process: arguments without secrets, duration, exit code. One that failed is a
	// warning unless that was expected (Process.Expected). The context has the values that Observer gave it. Nil logs nothing.
	Logger *slog.Logger
	// Observer sees every operation and every helm process begin and end, for traces and metrics. Nil costs nothing.
	Observer Observer
}

// Helm drives one helm binary. New makes it: the zero Helm panics. It does not change afterwards, and any number of
// goroutines may use it at once.
type Helm struct {
	cfg     Config
	binary  string        // absolute path
	home    *home.Home    // what this package writes
	env     environments  // of its processes
	login   login         // to a cluster, from memory
	slots   chan struct{} // one for each helm process
	waiting chan struct{} // one for each helm process that may wait for long

	maxStdout int // bytes kept of what one process prints
	host      host
	observer  Observer // nil for none

	store *fetch.Store // repositories and archives, in the home

	version  once[identified]
	versions *home.Kept        // of binaries, by their identities
	oldest   []*semver.Version // of Config.MinVersion, ascending
	renders  renderMemory
	kept     *home.Kept // manifests
	clusters clusterMemory
}

// New looks up the binary and makes the home, or removes temporary files there that are older than a day. It starts no process.
//
// Errors: ErrHelmNotFound, ErrInvalidArgument.
func New(cfg Config) (*Helm, error) {
	if err := cmp.Or(
		argument.Count("MaxProcesses", cfg.MaxProcesses), argument.Count("Retry.Tries", cfg.Retry.Tries), argument.Duration("GracePeriod", cfg.GracePeriod),
		argument.Duration("Limits.Time", cfg.Limits.Time), argument.Duration("Limits.RenderTime", cfg.Limits.RenderTime),
	); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if cfg.Limits.negative() {
		return nil, errdef.Invalidf("config: Limits cannot be negative")
	}
	if cfg.MaxHistory < -1 {
		return nil, errdef.Invalidf("config: MaxHistory is %d: give a number of revisions, 0 for Helm's default, or -1 for all", cfg.MaxHistory)
	}
	if err := validateTarget(cfg.Namespace, cfg.Kubeconfig, cfg.KubeContext); err != nil {
		return nil, err
	}
	if err := checkEnvironment(cfg); err != nil {
		return nil, err
	}
	login, err := newLogin(cfg)
	if err != nil {
		return nil, err
	}
	oldest, err := parseOldest(cfg.MinVersion)
	if err != nil {
		return nil, err
	}
	if cfg.Binary == "" {
		cfg.Binary = "helm"
	}
	if cfg.GracePeriod == 0 {
		cfg.GracePeriod = 30 * time.Second
	}
	if cfg.MaxProcesses == 0 {
		cfg.MaxProcesses = processesThatFit()
	}
	cfg.Retry, cfg.Limits = cfg.Retry.withDefaults(), cfg.Limits.withDefaults()

	binary, err := lookBinary(cfg.Binary)
	if err != nil {
		return nil, err
	}
	h := &Helm{
		cfg:     cfg,
		binary:  binary,
		login:   login,
		slots:   make(chan struct{}, cfg.MaxProcesses),
		waiting: make(chan struct{}, cfg.MaxProcesses-min(8, cfg.MaxProcesses/4)),
		version: newOnce[identified](),
		oldest:  oldest,

		maxStdout: maxStdout,
		host:      thisHost(),
		observer:  observersOf(cfg),
	}
	h.renders.limit = cmp.Or(cfg.RememberRenders, 64<<20)
	dir := cfg.Home
	if dir == UserHome {
		dir = "" // the files of this package still go into the default home
	}
	if h.home, err = home.Open(dir); err != nil {
		return nil, err
	}
	h.home.Sweep() // a killed program may have left a log-in there
	h.versions = h.home.Kept("versions", home.Bound{Bytes: 64 << 10, Entries: 100})
	h.kept = h.home.Kept("renders", home.Bound{Bytes: cmp.Or(cfg.KeepRenders, 256<<20), Entries: 4000})
	h.store = fetch.New(fetch.Config{
		Home: h.home, Helm: sources{h}, UserRepositories: cfg.Home == UserHome, Env: cfg.Env, Keyring: cfg.Keyring,
		Limits: fetch.Limits{Index: cfg.Limits.Index, Archive: cfg.Limits.Archive, Cache: cfg.Limits.Cache, Time: cfg.Limits.Time},
	})
	h.env = newEnvironments(os.Environ(), cfg, h.home.Path())
	return h, h.env.checkDriver()
}

// once is a value that is found when it is first needed; after a failure it is looked for again.
type once[T any] struct {
	turn  chan struct{} // held while it is found out
	value *T            // guarded by turn
}

func newOnce[T any]() once[T] { return once[T]{turn: make(chan struct{}, 1)} }

func (o *once[T]) get(ctx context.Context, find func() (T, error)) (value T, err error) {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return value, contextError(ctx)
	}
	defer func() { <-o.turn }()
	if o.value == nil {
		if value, err = find(); err != nil {
			return value, err
		}
		o.value = &value
	}
	return *o.value, nil
}

// lookBinary finds the binary once, so that a later change of PATH or of the working directory
// does not make one Helm drive two of them.
func lookBinary(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	isPath := strings.ContainsRune(name, filepath.Separator)
	switch {
	case err == nil:
	case isPath && !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: %q is not executable: %w; set Config.Binary to a helm that is", ErrHelmNotFound, name, errors.Unwrap(err))
	default:
		where := "at that path"
		if !isPath {
			where = "on PATH=" + os.Getenv("PATH")
		}
		return "", fmt.Errorf("%w: looked for %q %s: %w; install Helm 3.14 or later, or set Config.Binary", ErrHelmNotFound, name, where, errors.Unwrap(err))
	}
	return path, nil
}

// target is where a command goes: cluster and namespace.
type target struct {
	namespace, kubeconfig, context string
}

// target fills what a call leaves empty from the Config.
func (h *Helm) target(namespace, kubeconfig, kubeContext string) (target, error) {
	t := target{namespace, kubeconfig, kubeContext}
	if t.namespace == "" {
		t.namespace = h.cfg.Namespace
	}
	if t.kubeconfig == "" {
		t.kubeconfig = cmp.Or(h.cfg.Kubeconfig, h.login.name)
	}
	if t.context == "" {
		t.context = h.cfg.KubeContext
	}
	file := t.kubeconfig
	if file == h.login.name {
		file = ""
	} else if isInMemory(file) {
		return t, errdef.Invalidf("kubeconfig: %q is in the memory of another Helm", file)
	}
	err := validateTarget(t.namespace, file, t.context)
	if err == nil && h.login.hasToken() && (t.kubeconfig != cmp.Or(h.cfg.Kubeconfig, h.login.name) || t.context != h.cfg.KubeContext) {
		err = errdef.Invalidf("the call goes to the cluster%s, and the token (KubeToken, KubeTokenSource) is for that of the Config: make another Helm for this cluster", t.where())
	}
	return t, err
}

// flags are the global flags that say where a command goes. For a kubeconfig in memory, run adds that of its file.
func (t target) flags() []string {
	var a args
	a.str("--namespace", t.namespace)
	if !isInMemory(t.kubeconfig) {
		a.str("--kubeconfig", t.kubeconfig)
	}
	a.str("--kube-context", t.context)
	return a
}

// where names the cluster as the caller did, "" if helm chooses it.
func (t target) where() string {
	var by []string
	for _, given := range []struct{ what, name string }{{"kubeconfig", t.kubeconfig}, {"context", t.context}} {
		if given.name != "" {
			by = append(by, given.what+" "+given.name)
		}
	}
	if len(by) == 0 {
		return ""
	}
	return " of " + strings.Join(by, ", ")
}

func (t target) String() string {
	if t.namespace == "" {
		return "the default namespace"
	}
	return "namespace " + t.namespace
}

// errNoPlace says that a helm's patience was over before it could start.
var errNoPlace = errors.New("too many others run")

// acquire takes a place among the processes that may run at once, or leaves the queue when the
// context ends. Some places are reserved for processes that do not wait for pods: a look, or the
// clean-up after a cancelled install, does not queue behind processes that wait for minutes.
func (h *Helm) acquire(ctx context.Context, waits bool, patience time.Duration) (release func(), err error) {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, errNoPlace)
		defer cancel()
	}
	var held []chan struct{}
	release = func() {
		for _, place := range held {
			<-place
		}
	}
	places := []chan struct{}{h.slots}
	if waits {
		places = []chan struct{}{h.waiting, h.slots}
	}
	for _, place := range places {
		select {
		case place <- struct{}{}:
			held = append(held, place)
		case <-ctx.Done():
			release()
			return nil, fmt.Errorf("waiting for one of %d helm processes to end: %w", cap(h.slots), contextError(ctx))
		}
	}
	return release, nil
}

func validateTarget(namespace, kubeconfig, kubeContext string) error {
	return cmp.Or(argument.Namespace(namespace), argument.KubeContext(kubeContext), argument.Kubeconfig(kubeconfig))
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
