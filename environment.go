package helmexec

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sut-bench/helmexec/internal/argument"
	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/process"
	"github.com/sut-bench/helmexec/internal/redact"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// What helms in a private home get of this program's environment; docs/security.md has the reasons. A '*' at the end
// stands for anything.
var (
	// everyHelm goes to all of them.
	everyHelm = []string{
		"PATH", "TMPDIR", "TEMP", "TMP", "LANG", "LC_*", "TZ",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
		"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT",
	}
	// userOfHelm leads to what programs that log in to a cluster keep about the user.
	userOfHelm = []string{"HOME", "USER", "LOGNAME", "XDG_*", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA"}
	// logIns are log-ins to a cluster. No other helm gets them, also if they are in Config.Env.
	logIns = []string{
		"KUBECONFIG", "KUBECACHEDIR", "KUBERNETES_*",
		"AWS_*", "GOOGLE_*", "CLOUDSDK_*", "USE_GKE_GCLOUD_AUTH_PLUGIN", "AZURE_*", "AAD_*", "IDENTITY_*", "MSI_*",
	}
	// helmsLogIns are those that helm has variables for. They come only from Config.Env and Config.PassEnv.
	helmsLogIns = []string{"HELM_KUBE*", "HELM_DRIVER*"}
)

// environments are what helm processes get as their environment. If a variable is in one twice, the later one wins.
type environments struct {
	cluster []string // of a helm that logs in to a cluster
	local   []string // of all others
}

// newEnvironments makes them of this program's environment. With a private home no HELM_* variable of the program
// reaches helm unless PassEnv names it: it could name plugins, a driver or credentials that are meant for something else.
func newEnvironments(program []string, cfg Config, home string) environments {
	tuning := childTuning(cfg.Limits.withDefaults())
	var own []string
	if cfg.MaxHistory != 0 {
		own = append(own, "HELM_MAX_HISTORY="+strconv.Itoa(max(0, cfg.MaxHistory)))
	}
	if cfg.Home == UserHome {
		all := slices.Concat(tuning, program, own, assignments(cfg.Env, nil))
		return environments{all, all}
	}
	in := func(elem ...string) string { return filepath.Join(append([]string{home}, elem...)...) }
	own = append(own,
		"HELM_CONFIG_HOME="+in("config"),
		"HELM_CACHE_HOME="+in("cache"),
		"HELM_DATA_HOME="+in("data"),
		"HELM_REGISTRY_CONFIG="+in("registry.json"),
		"HELM_REPOSITORY_CONFIG="+in("config", "repositories.yaml"),
		"HELM_REPOSITORY_CACHE="+in("cache", "repository"),
		// The first keeps helm from looking for commands, the second from looking for everything else that a plugin can be.
		"HELM_NO_PLUGINS=1", "HELM_PLUGINS="+os.DevNull,
	)
	secret := slices.Concat(logIns, cfg.PassEnv)
	return environments{
		cluster: slices.Concat(tuning, passed(program, slices.Concat(everyHelm, userOfHelm, secret)), own, assignments(cfg.Env, nil)),
		// Neither the user's log-ins to registries nor a default kubeconfig are below this HOME.
		local: slices.Concat(tuning, passed(program, everyHelm), own, []string{"HOME=" + in("user")}, assignments(cfg.Env, slices.Concat(secret, helmsLogIns))),
	}
}

// decideRenders are the variables that can change what helm renders without a cluster: where it looks for a namespace, and
// what Go and templates make of times.
var decideRenders = []string{"HELM_*", "KUBE*", "POD_NAMESPACE", "HOME", "TZ", "ZONEINFO", "GODEBUG"}

// deciding are those that a helm gets which talks to no cluster.
func (e environments) deciding() []string { return passed(e.local, decideRenders) }

// checkEnvironment refuses names and values of variables that are none.
func checkEnvironment(cfg Config) error {
	for _, name := range sortedKeys(cfg.Env) {
		if err := argument.Variable("Env", name, cfg.Env[name]); err != nil {
			return err
		}
	}
	for _, name := range cfg.PassEnv {
		if err := argument.Variable("PassEnv", cmp.Or(strings.TrimSuffix(name, "*"), name), ""); err != nil {
			return err
		}
	}
	return nil
}

// passed are the variables of an environment that a list allows.
func passed(env, list []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !listed(name, list)
	})
}

// assignments are variables as an environment has them, without those in a list.
func assignments(variables map[string]string, without []string) []string {
	var all []string
	for _, name := range sortedKeys(variables) {
		if !listed(name, without) {
			all = append(all, name+"="+variables[name])
		}
	}
	return all
}

// foldsVariables says that the system compares the names of variables without regard to case.
var foldsVariables = runtime.GOOS == "windows"

// listed reports whether a list has the name of a variable.
func listed(name string, list []string) bool {
	if foldsVariables {
		name = strings.ToUpper(name)
	}
	return slices.ContainsFunc(list, func(entry string) bool {
		if foldsVariables {
			entry = strings.ToUpper(entry)
		}
		prefix, any := strings.CutSuffix(entry, "*")
		return name == entry || any && strings.HasPrefix(name, prefix)
	})
}

// value is the value of a variable; "" if it is not set.
func (e environments) value(name string) string {
	for _, variable := range slices.Backward(e.cluster) {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

// checkDriver refuses the places for release records in which nothing could be found again.
func (e environments) checkDriver() error {
	switch driver := e.value("HELM_DRIVER"); strings.ToLower(driver) {
	case "memory":
		return errdef.Invalidf("HELM_DRIVER=memory: helm would forget each release when it ends; use secret or configmap")
	case "sql":
		return errdef.Invalidf("HELM_DRIVER=sql: the clean-up after a failure finds release records only in the cluster; use secret or configmap")
	}
	return nil
}

// recordKind is the kind of the objects that are release records.
func (e environments) recordKind() string {
	if strings.HasPrefix(strings.ToLower(e.value("HELM_DRIVER")), "configmap") {
		return "ConfigMap"
	}
	return "Secret"
}

// login is what a Config has in memory for a cluster.
type login struct {
	kubeconfig []byte
	name       string   // what the kubeconfig is called where another has its path: by where it leads; "" for none
	token      []string // the variable
	source     func(context.Context) (string, error)
	secrets    []string // kept out of logs and errors
}

func (l login) hasToken() bool { return l.token != nil || l.source != nil }

// renewed is a log-in with a token that is valid now.
func (l login) renewed(ctx context.Context) (login, error) {
	if l.source == nil {
		return l, nil
	}
	token, err := l.source(ctx)
	switch {
	case ctx.Err() != nil:
		return l, contextError(ctx)
	case err != nil:
		// Without what it wraps: the end of a context in there is not that of the caller's.
		return l, fmt.Errorf("%w: KubeTokenSource: %s", ErrClusterUnreachable, redact.Line(redact.Redactor(nil)(err.Error())))
	case token == "":
		return l, errdef.Invalidf("config: KubeTokenSource gave an empty token")
	}
	return l.withToken("KubeTokenSource", token)
}

func (l login) withToken(from, token string) (login, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return l, errdef.Invalidf("config: %s has a character that a bearer token cannot have, such as a line break at its end", from)
	}
	l.token, l.secrets = []string{"HELM_KUBETOKEN=" + token}, append(slices.Clip(l.secrets), token)
	return l, nil
}

const inMemory = "in memory, " // no path that a caller gives begins so: a digest follows

// isInMemory reports whether a kubeconfig is the name of one in memory.
func isInMemory(kubeconfig string) bool {
	digest, found := strings.CutPrefix(kubeconfig, inMemory)
	return found && argument.IsDigest(digest)
}

func newLogin(cfg Config) (login, error) {
	l := login{source: cfg.KubeTokenSource}
	if cfg.KubeToken != "" {
		if cfg.KubeTokenSource != nil {
			return l, errdef.Invalidf("config: give either KubeToken or KubeTokenSource")
		}
		var err error
		if l, err = l.withToken("KubeToken", cfg.KubeToken); err != nil {
			return l, err
		}
	}
	if cfg.KubeconfigData == nil {
		return l, nil
	}
	if cfg.Kubeconfig != "" {
		return l, errdef.Invalidf("config: give either Kubeconfig or KubeconfigData")
	}
	var content kubeconfig
	// The parser's error could quote a secret.
	if err := safeyaml.Unmarshal("KubeconfigData", cfg.KubeconfigData, &content); err != nil || len(content.Clusters) == 0 {
		return l, errdef.Invalidf("config: KubeconfigData is not the text of a kubeconfig with a cluster")
	}
	for _, u := range content.Users {
		l.secrets = append(l.secrets, u.User.Token, u.User.Password, u.User.Key)
	}
	l.kubeconfig = bytes.Clone(cfg.KubeconfigData)
	leads := content.leads(cfg.KubeContext)
	if leads == "" {
		leads = string(l.kubeconfig)
	}
	l.name = fmt.Sprintf("%ssha256:%x", inMemory, sha256.Sum256([]byte(leads)))
	return l, nil
}

// kubeconfig is what this package reads of one.
type kubeconfig struct {
	Current  string `json:"current-context"`
	Contexts []struct {
		Name    string
		Context struct{ Cluster, Namespace string }
	}
	Clusters []struct {
		Name    string
		Cluster struct {
			Server        string
			Authority     string `json:"certificate-authority-data"`
			AuthorityFile string `json:"certificate-authority"`
		}
	}
	Users []struct {
		User struct {
			Token, Password string
			Key             string `json:"client-key-data"`
		}
	}
}

// leads says where a context leads, "" is the current one. A renewed log-in does not change it. It is "" if the context or its
// cluster is missing.
func (k kubeconfig) leads(context string) string {
	context = cmp.Or(context, k.Current)
	for _, by := range k.Contexts {
		if by.Name != context {
			continue
		}
		for _, to := range k.Clusters {
			if c := to.Cluster; to.Name == by.Context.Cluster {
				return fmt.Sprintf("%q %q %q %q", c.Server, c.Authority, c.AuthorityFile, by.Context.Namespace)
			}
		}
	}
	return ""
}

// file writes the kubeconfig for one helm, if it needs that, and adds its path to the arguments. done removes it.
func (l login) file(dir string, args []string) (with []string, done func(), err error) {
	before := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") })
	if l.kubeconfig == nil || slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--kubeconfig=") }) {
		return args, func() {}, nil
	}
	f, err := os.CreateTemp(dir, "kubeconfig-") // with mode 0600
	if err != nil {
		return nil, nil, err
	}
	done = func() { os.Remove(f.Name()) }
	_, err = f.Write(l.kubeconfig)
	if err = errors.Join(err, f.Close()); err != nil {
		done()
		return nil, nil, err
	}
	if before < 0 {
		before = len(args)
	}
	return slices.Insert(slices.Clone(args), before, "--kubeconfig="+f.Name()), done, nil
}

// childTuning makes helm, which is short-lived, collect garbage less often: 15 to 30 % less CPU for
// every command, for a fifth more memory (bench/cmd/tuning, docs/performance.md). Near the memory
// limit, which only the largest indexes reach, it collects as usual, so that it is not killed for its
// garbage. GOMAXPROCS and HELM_NO_PLUGINS save nothing that can be
// measured, except where two helms work for one caller (capabilities).
func childTuning(l Limits) []string {
	limit := min(768<<20, min(l.Memory, l.RenderMemory)/4*3)
	return []string{"GOGC=400", "GOMEMLIMIT=" + strconv.FormatInt(limit, 10)}
}

// Limits say how much of this machine a source of charts, or a chart, can use: neither is trusted.
// Zero fields take the defaults. A helm that exceeds a limit is killed.
type Limits struct {
	Index   int64         // bytes of a repository's index; 128 MiB
	Archive int64         // bytes of a chart archive; 32 MiB
	Memory  int64         // bytes of memory of a helm process that fetches, on Linux; 1.5 GiB
	Time    time.Duration // for one fetch; 2 minutes
	Cache   int64         // bytes of archives kept; 4 GiB

	// These are for a helm that renders a chart: Template and what builds on it, Lint, Install,
	// Upgrade and their dry runs. ErrRenderTooLarge, ErrRenderTimeout.
	RenderMemory int64 // bytes of memory of the helm process, on Linux; 1 GiB
	RenderOutput int64 // bytes of the manifest that helm prints; 64 MiB
	// RenderTime is processor time, on Linux; 1 minute. In an install or upgrade it counts until the
	// release is recorded: waiting for hooks and pods comes after that.
	RenderTime time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Index: cmp.Or(l.Index, 128<<20), Archive: cmp.Or(l.Archive, 32<<20),
		Memory: cmp.Or(l.Memory, 1536<<20), Time: cmp.Or(l.Time, 2*time.Minute), Cache: cmp.Or(l.Cache, 4<<30),
		RenderMemory: cmp.Or(l.RenderMemory, 1<<30), RenderOutput: cmp.Or(l.RenderOutput, maxStdout), RenderTime: cmp.Or(l.RenderTime, time.Minute),
	}
}

// negative reports whether a number of bytes is below zero.
func (l Limits) negative() bool {
	return min(l.Index, l.Archive, l.Memory, l.Cache, l.RenderMemory, l.RenderOutput) < 0
}

// processLimits are the limits on one helm process. Helm itself has none: it reads an answer of any
// size into memory before it writes a file, an answer may be decompressed on the way, and a template
// can loop for ever. Only the process itself is measured, because neither a chart nor a source can
// start another.
type processLimits struct {
	process.Limits
	output int64 // bytes of a manifest on stdout, 0 if none is printed
}

// rendering are the limits on a helm that renders a chart.
func (h *Helm) rendering() *processLimits {
	l := h.cfg.Limits
	return &processLimits{
		Limits: process.Limits{
			Memory:      l.RenderMemory,
			OverMemory:  fmt.Errorf("%w: helm took more than %d MiB of memory (Limits.RenderMemory)", ErrRenderTooLarge, l.RenderMemory>>20),
			CPUTime:     l.RenderTime,
			OverCPUTime: fmt.Errorf("%w: helm used more than %v of processor time (Limits.RenderTime)", ErrRenderTimeout, l.RenderTime),
		},
		output: l.RenderOutput,
	}
}

const (
	// readOtherwise is an allowance for helm's own files, which it reads in addition to what it
	// fetches.
	readOtherwise = 16 << 20
	// writtenOtherwise is an allowance for files that we put into the folder ourselves.
	writtenOtherwise = 1 << 20
)

// fetchingInto are the limits on a helm that fetches a number of bytes into the folder dir. It reads
// them from a socket and again from the file, and Helm 4 keeps a second copy of an archive in its
// cache. So this limit is rough; the exact size is checked when the result is read.
func (h *Helm) fetchingInto(dir string, bytes int64) *processLimits {
	memory := h.cfg.Limits.Memory
	return &processLimits{Limits: process.Limits{
		Memory:     memory,
		OverMemory: fmt.Errorf("%w: helm took more than %d MiB of memory for what it fetched (Limits.Memory)", ErrOutputTooLarge, memory>>20),
		Read:       2*bytes + readOtherwise, Written: 2*bytes + writtenOtherwise, Dir: dir,
		OverFetch: fmt.Errorf("%w: what helm fetched is over %d MiB", ErrOutputTooLarge, bytes>>20),
	}}
}
