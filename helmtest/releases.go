package helmtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sut-bench/helmexec/manifest"
)

// Release is one revision of a release as a fake helm remembers it.
type Release struct {
	Name, Namespace string // Namespace "" is "default"
	Revision        int    // 0 is 1
	Status          string // "deployed", "pending-install"; "" is "deployed"
	Chart           string
	ChartVersion    string
	AppVersion      string
	Description     string
	Notes           string
	Updated         time.Time
	Labels          map[string]string
	Values          string // YAML, as helm read it from stdin
	Manifest        string
	Hooks           []Hook
	CRDs            []string // documents of the chart's crds folder
}

// Hook is a hook of a release.
type Hook struct {
	Kind, Name     string
	Phase          string // "" when it never ran; Running, Succeeded, Failed
	Events         []string
	DeletePolicies []string
	Manifest       string
}

// store is what a fake helm works on.
type store struct {
	releases map[string][]Release // by namespace/name, revisions in order
	archives map[string][]byte    // by file name
	waiting  map[string]*waiting  // by namespace/name
	left     []manifest.ObjectRef // what stays in the cluster
	nodes    []map[string]int64
	logs     map[string]string // of tests, by name
	moved    int               // how often the cluster became another
}

// SetRelease records a revision, after those of lower number or in place of the same one.
func (f *Fake) SetRelease(r Release) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store.put(r)
}

// Release is the latest revision of a release; "" is the default namespace.
func (f *Fake) Release(namespace, name string) (r Release, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store.latest(key(namespace, name))
}

// RemoveRelease forgets a release.
func (f *Fake) RemoveRelease(namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.store.releases, key(namespace, name))
}

// AddArchive lets "pull" find a chart by the name of its file, "web-1.2.3.tgz".
func (f *Fake) AddArchive(name string, content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store.archives == nil {
		f.store.archives = map[string][]byte{}
	}
	f.store.archives[name] = content
}

func key(namespace, name string) string { return cmp.Or(namespace, "default") + "/" + name }

func (s *store) latest(key string) (Release, bool) {
	revisions := s.releases[key]
	if len(revisions) == 0 {
		return Release{}, false
	}
	return revisions[len(revisions)-1], true
}

func (s *store) put(r Release) {
	r.Namespace, r.Revision, r.Status = cmp.Or(r.Namespace, "default"), cmp.Or(r.Revision, 1), cmp.Or(r.Status, "deployed")
	if s.releases == nil {
		s.releases = map[string][]Release{}
	}
	k := key(r.Namespace, r.Name)
	kept := slices.DeleteFunc(s.releases[k], func(old Release) bool { return old.Revision >= r.Revision })
	s.releases[k] = append(kept, r)
}

func failure(format string, a ...any) Reply {
	return Reply{Stderr: "Error: " + fmt.Sprintf(format, a...) + "\n", Exit: 1}
}

// perform answers a call; the lock is held.
func (f *Fake) perform(c Call) Reply {
	k := key(c.Flag("--namespace"), c.Arg(0))
	latest, exists := f.store.latest(k)
	command := c.Command()
	switch command {
	case "get all", "get values", "status", "history", "rollback", "test":
		if !exists {
			return failure("release: not found")
		}
	}
	switch command {
	case "version":
		return Reply{Stdout: f.version + "\n"}
	case "install", "upgrade", "dry-run install", "dry-run upgrade":
		return f.change(c, latest, exists)
	case "uninstall":
		if !exists {
			return failure("uninstall: Release not loaded: %s: release: not found", c.Arg(0))
		}
		delete(f.store.waiting, k)
		switch kept := c.Flag("--keep-history") != ""; {
		case kept && latest.Status == "uninstalled":
			return failure("the release named %q is already deleted", c.Arg(0))
		case kept:
			latest.Status, latest.Description = "uninstalled", cmp.Or(c.Flag("--description"), "Uninstallation complete")
			f.store.put(latest)
		default:
			delete(f.store.releases, k)
		}
		return Reply{Stdout: fmt.Sprintf("release %q uninstalled\n", c.Arg(0))}
	case "rollback":
		return f.rollback(c, k, latest)
	case "test":
		latest.passTests(c)
		f.store.put(latest)
		return Reply{Stdout: f.testLogs(c, latest)}
	case "verify":
		return f.verify(c)
	case "repo remove":
		return Reply{}
	case "get all":
		return f.getAll(c, k)
	case "get values":
		values, err := yaml.YAMLToJSON([]byte(latest.Values))
		if err != nil {
			return failure("%v", err)
		}
		return Reply{Stdout: string(values)}
	case "status":
		hooks := []object{}
		for _, h := range latest.Hooks {
			hooks = append(hooks, object{"name": h.Name, "kind": h.Kind, "events": h.Events, "last_run": object{"phase": h.Phase}})
		}
		return printed(map[string]any{
			"hooks": hooks,
			"name":  latest.Name, "namespace": latest.Namespace, "version": latest.Revision,
			"info": map[string]any{"status": latest.Status, "description": latest.Description, "resources": f.resources(k)},
		})
	case "history":
		return f.history(k)
	case "list":
		return f.list(c)
	case "repo add", "repo update":
		return f.repo(c)
	case "pull":
		return f.pull(c)
	case "template":
		switch {
		case c.isQuestion("look"):
			return f.look(c)
		case c.isQuestion("nodes"):
			return f.nodes()
		}
		return f.template(c)
	case "env":
		return Reply{Stdout: fmt.Sprintf("HELM_REPOSITORY_CACHE=%q\nHELM_REPOSITORY_CONFIG=%q\n", c.Env["HELM_REPOSITORY_CACHE"], c.Env["HELM_REPOSITORY_CONFIG"])}
	}
	return failure("helmtest: no answer for %q: use On or Handle", command)
}

func printed(v any) Reply {
	text, err := json.Marshal(v)
	if err != nil {
		return failure("%v", err)
	}
	return Reply{Stdout: string(text)}
}

// change is install and upgrade.
func (f *Fake) change(c Call, latest Release, exists bool) Reply {
	command, dry := strings.CutPrefix(c.Command(), "dry-run ")
	switch {
	case command == "install" && dry: // Helm looks for no release then
	case command == "install" && exists:
		return Reply{Stderr: f.words("name-taken"), Exit: 1}
	case command == "upgrade" && !exists && c.Flag("--install") == "":
		return failure("UPGRADE FAILED: %q has no deployed releases", c.Arg(0))
	case exists && strings.HasPrefix(latest.Status, "pending-"):
		return Reply{Stderr: f.words("busy"), Exit: 1}
	}
	meta, err := chartMetadata(c.Arg(1))
	if err != nil {
		return failure("%v", err)
	}
	revision := latest.Revision + 1
	if command == "install" {
		revision = 1
	}
	manifest, _, hooks, notes, err := f.render(c, c.Arg(1), revision)
	if err != nil {
		return failure("%s FAILED: %v", map[string]string{"install": "INSTALLATION", "upgrade": "UPGRADE"}[command], err)
	}
	if dry {
		return f.dryRun(c, revision, manifest, hooks, notes)
	}
	labels := maps.Clone(latest.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, pair := range strings.Split(c.Flag("--labels"), ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			labels[k] = v
		}
	}
	if command == "upgrade" {
		maps.DeleteFunc(labels, func(_, v string) bool { return v == "null" })
	}
	f.store.supersede(c.key())
	delete(f.store.waiting, c.key())
	f.store.put(Release{
		Name: c.Arg(0), Namespace: c.Flag("--namespace"), Revision: latest.Revision + 1,
		Chart: meta.Name, ChartVersion: meta.Version, AppVersion: meta.AppVersion,
		Description: cmp.Or(c.Flag("--description"), map[string]string{"install": "Install complete", "upgrade": "Upgrade complete"}[command]),
		Updated:     time.Now(), Labels: labels, Values: c.Stdin, Manifest: manifest, Hooks: hooks, Notes: notes,
	})
	if c.Flag("--output") == "json" {
		return f.printed(c.key())
	}
	return Reply{Stdout: "NAME: " + c.Arg(0) + "\nSTATUS: deployed\n"}
}

// printed is the latest revision of a release as helm prints it after an install or upgrade.
func (f *Fake) printed(k string) Reply {
	r, _ := f.store.latest(k)
	return printed(object{
		"name": r.Name, "namespace": r.Namespace, "version": r.Revision, "manifest": r.Manifest,
		"info": object{
			"first_deployed": f.store.installed(k), "last_deployed": r.Updated, "status": r.Status, "description": r.Description, "notes": r.Notes,
		},
		"chart": object{"metadata": object{"name": r.Chart, "version": r.ChartVersion, "appVersion": r.AppVersion}},
	})
}

// installed is when the first revision of a release was made.
func (s *store) installed(k string) time.Time { return s.releases[k][0].Updated }

// template renders a chart, as an install would.
func (f *Fake) template(c Call) Reply {
	manifest, crds, hooks, _, err := f.render(c, c.Arg(1), 1)
	if err != nil {
		return failure("%v", err)
	}
	var out strings.Builder
	for _, crd := range crds {
		if c.Flag("--include-crds") != "" {
			fmt.Fprintf(&out, "---\n# Source: chart/crds/crd.yaml\n%s\n", crd)
		}
	}
	out.WriteString(manifest)
	for _, hook := range hooks {
		fmt.Fprintf(&out, "---\n# Source: chart/templates/hook.yaml\n%s\n", hook.Manifest)
	}
	return Reply{Stdout: out.String()}
}

// dryRun is what an install or upgrade prints that changes nothing.
func (f *Fake) dryRun(c Call, revision int, manifest string, hooks []Hook, notes string) Reply {
	if c.Flag("--output") != "json" {
		return Reply{}
	}
	files, err := chartFiles(c.Arg(1))
	if err != nil {
		return failure("%v", err)
	}
	var config, defaults map[string]any
	for text, into := range map[string]*map[string]any{c.Stdin: &config, files["values.yaml"]: &defaults} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			return failure("%v", err)
		}
	}
	type hook struct {
		Path     string `json:"path"`
		Manifest string `json:"manifest"`
	}
	printedHooks := []hook{}
	for _, h := range hooks {
		printedHooks = append(printedHooks, hook{"chart/templates/hook.yaml", h.Manifest})
	}
	return printed(map[string]any{
		"name": c.Arg(0), "namespace": cmp.Or(c.Flag("--namespace"), "default"), "version": revision, "info": map[string]any{"notes": notes}, "config": config, "chart": map[string]any{"values": defaults},
		"manifest": manifest, "hooks": printedHooks,
	})
}

func (s *store) supersede(key string) {
	for i, r := range s.releases[key] {
		if r.Status == "deployed" {
			s.releases[key][i].Status = "superseded"
		}
	}
}

func (f *Fake) rollback(c Call, k string, latest Release) Reply {
	to, _ := strconv.Atoi(c.Arg(1))
	for _, r := range f.store.releases[k] {
		if r.Revision == to {
			f.store.supersede(k)
			r.Revision, r.Status, r.Updated = latest.Revision+1, "deployed", time.Now()
			r.Description = fmt.Sprintf("Rollback to %d", to)
			f.store.put(r)
			return Reply{Stdout: "Rollback was a success! Happy Helming!\n"}
		}
	}
	return failure("release has no %d version", to)
}

// getAll executes the template of --template on the release, as helm does.
func (f *Fake) getAll(c Call, k string) Reply {
	revisions := f.store.releases[k]
	r := revisions[len(revisions)-1]
	if n, _ := strconv.Atoi(c.Flag("--revision")); n > 0 {
		at := slices.IndexFunc(revisions, func(r Release) bool { return r.Revision == n })
		if at < 0 {
			return failure("release: not found")
		}
		r = revisions[at]
	}
	t, err := template.New("").Parse(c.Flag("--template"))
	if err != nil {
		return failure("%v", err)
	}
	hooks, crds := []object{}, []object{}
	for _, h := range r.Hooks {
		hooks = append(hooks, object{
			"Name": h.Name, "Kind": h.Kind, "Events": h.Events, "DeletePolicies": h.DeletePolicies,
			"Manifest": h.Manifest, "LastRun": object{"Phase": h.Phase},
		})
	}
	for _, crd := range r.CRDs {
		crds = append(crds, object{"File": object{"Data": []byte(crd)}})
	}
	var out bytes.Buffer
	err = t.Execute(&out, object{"Release": object{
		"Name": r.Name, "Namespace": r.Namespace, "Version": r.Revision, "Labels": r.Labels, "Manifest": r.Manifest, "Hooks": hooks,
		"Info": object{"Status": r.Status, "FirstDeployed": f.store.installed(k), "LastDeployed": r.Updated, "Description": r.Description, "Notes": r.Notes},
		"Chart": object{
			"Metadata":   object{"Name": r.Chart, "Version": r.ChartVersion, "AppVersion": r.AppVersion},
			"CRDObjects": crds,
		},
	}})
	if err != nil {
		return failure("%v", err)
	}
	return Reply{Stdout: out.String()}
}
