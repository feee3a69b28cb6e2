package chaos

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// judge compares an outcome with the cluster.
type judge func(what string, o outcome, see func(outcome, sight) []wrong)

func installAndUninstall(ctx context.Context, r *run, judge judge) error {
	o, err := r.under(ctx, r.job(install))
	if err != nil {
		return err
	}
	judge("install", o, r.afterInstall)
	if !o.OK {
		return nil
	}
	if o, err = r.under(ctx, r.job(uninstall)); err != nil {
		return err
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	judge("uninstall", o, func(o outcome, s sight) []wrong {
		all := r.afterUninstall(o, s)
		if o.OK && pods > 0 {
			all = append(all, early)
		}
		return all
	})
	return nil
}

// stopped: the context of an install, which a slow network makes longer, ends at some moment.
func stopped(ctx context.Context, r *run, judge judge) error {
	delay := logUniform(r.rng, 5, 300)
	heal, err := r.link.poison("latency", direction(r.rng), 1, map[string]int{"latency": delay, "jitter": delay / 2})
	if err != nil {
		return err
	}
	j := r.job(install)
	j.Limit = time.Duration(logUniform(r.rng, 100, 6000)) * time.Millisecond
	o := j.do(ctx)
	heal()
	r.faults.Add(1)
	judge("install", o, r.afterInstall)
	return r.removeRest(ctx, judge, o)
}

// removeRest is the end of a run, without faults: only reported objects may exist then.
func (r *run) removeRest(ctx context.Context, judge judge, told ...outcome) error {
	o := r.job(removeJob).do(ctx)
	judge("removal of the job", o, r.afterAll(told))
	return nil
}

// upgraded: an upgrade is interrupted.
func upgraded(ctx context.Context, r *run, judge judge) error {
	first := r.job(install).do(ctx)
	judge("install", first, r.afterInstall)
	if !first.OK {
		return nil
	}
	r.values = maps.Clone(r.values)
	r.values["greeting"] = fmt.Sprintf("%x", r.rng.Uint64())
	r.values["readyAfter"] = between(r.rng, 0, 2*time.Second).Truncate(time.Millisecond).String()
	j := r.job(upgrade)
	j.OperationID += ", upgrade"
	var o outcome
	var err error
	switch r.rng.IntN(3) {
	case 0:
		j.Limit = time.Duration(logUniform(r.rng, 200, 6000)) * time.Millisecond
		r.faults.Add(1)
		o = j.do(ctx)
	case 1:
		r.during = killHelm
		o, err = r.under(ctx, j)
	case 2:
		o, err = r.killedRunners(ctx, j)
	}
	if err != nil {
		return err
	}
	judge("upgrade", o, r.afterUpgrade)
	return r.removeRest(ctx, judge, first, outcome{Remains: r.stays})
}

// afterUpgrade compares the outcome of an upgrade with the cluster. A revision that a killed helm left
// pending stays in the history: Helm has no command that removes one. No later revision is pending. A helm that is stopped
// at its end may have superseded the revision before, and then records its own as failed.
func (r *run) afterUpgrade(o outcome, s sight) (all []wrong) {
	last := s.records[max(0, len(s.records)-1):]
	switch deployed := count(s.records, "deployed"); {
	case len(last) == 1 && strings.HasPrefix(last[0], "pending") && !o.LeftBehind:
		all = append(all, stuck)
	case deployed > 1:
		all = append(all, duplicate)
	case deployed < 1 && !o.LeftBehind && (o.OK || !slices.Equal(s.records, []string{"superseded", "failed"})):
		all = append(all, lost)
	}
	if !o.OK {
		if !o.Typed {
			all = append(all, untyped)
		}
		return all
	}
	if !slices.Equal(s.objects, r.want) {
		all = append(all, leftOver)
	}
	if s.values != r.values["greeting"] {
		all = append(all, wrongData)
	}
	return all
}

// endless: a hook never ends.
func endless(ctx context.Context, r *run, judge judge) error {
	told, err := r.under(ctx, r.job(install))
	if err != nil {
		return err
	}
	judge("install", told, r.afterInstall)
	if !told.OK {
		return r.removeRest(ctx, judge, told)
	}
	removal := r.job([]action{uninstall, removeJob}[r.rng.IntN(2)])
	o, err := r.under(ctx, removal)
	if err != nil {
		return err
	}
	judge(string(removal.Action), o, r.afterUninstall)
	if hook := r.values["hook"].(map[string]any); hook["event"] == "post-delete" && !o.OK {
		return nil // it is a failure each time
	}
	return r.removeRest(ctx, judge, o)
}

// removedMeanwhile: the job is removed at any moment of its install, by another process. From the
// same home it must find everything, from another home what is already recorded.
func removedMeanwhile(ctx context.Context, r *run, judge judge) error {
	in, out := r.job(install), r.job(removeJob)
	here, delay := r.rng.IntN(2) == 0, time.Duration(logUniform(r.rng, 1, 3000))*time.Millisecond
	if !here {
		out.Home, out.Binary = filepath.Join(r.dir, "other-host"), r.binaries[r.rng.IntN(2)]
	}
	if r.rng.IntN(2) == 0 {
		// So that its record takes a while to come.
		slow := logUniform(r.rng, 20, 300)
		heal, err := r.link.poison("latency", direction(r.rng), 1, map[string]int{"latency": slow})
		if err != nil {
			return err
		}
		defer heal()
	}
	await := in.begin(ctx)
	if here {
		// Until its helm works, nobody knows about the install.
		for len(processesWith(func(arg string) bool { return arg == "--namespace="+r.namespace })) == 0 && pause(ctx, 5*time.Millisecond) {
		}
	}
	pause(ctx, delay)
	record := "/api/v1/namespaces/" + r.namespace + "/secrets/sh.helm.release.v1." + r.release + ".v1"
	recorded := r.cluster.Request(ctx, http.MethodGet, record, nil, nil) == nil
	r.faults.Add(1)
	removed, err := out.inProcess(ctx)
	if err != nil {
		return err
	}
	installed, err := await()
	if err != nil {
		return err
	}
	judge("install", installed, func(o outcome, _ sight) (all []wrong) {
		if !o.OK && !o.Typed {
			all = append(all, untyped)
		}
		return all
	})
	judge("removal", removed, r.afterMeeting(installed, here || recorded))
	return r.removeRest(ctx, judge, installed, removed)
}

// afterMeeting judges a removal that met an install.
func (r *run) afterMeeting(installed outcome, must bool) func(outcome, sight) []wrong {
	return func(o outcome, s sight) (all []wrong) {
		switch {
		case !o.OK && !o.Typed:
			all = append(all, untyped)
		case o.OK && len(s.records) > 0 && (must || o.Removed > 0):
			all = append(all, missed)
		}
		if o.OK && o.Removed == 0 {
			return append(all, r.afterInstall(installed, s)...)
		}
		unsure := slices.Concat(installed.Unsure, o.Unsure)
		if !sameNames(s.objects, union(installed.Remains, o.Remains), unsure) && !sameNames(s.objects, o.Remains, unsure) {
			all = append(all, leftOver)
		}
		return all
	}
}

// union is the names of two reports, each once.
func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// removedTwice: two hosts remove the same job at the same time.
func removedTwice(ctx context.Context, r *run, judge judge) error {
	o := r.job(install).do(ctx)
	judge("install", o, r.afterInstall)
	if !o.OK {
		return nil
	}
	one, other := r.job(removeJob), r.job(removeJob)
	other.Home, other.Binary = filepath.Join(r.dir, "other-host"), r.binaries[r.rng.IntN(2)]
	delay := between(r.rng, 0, 700*time.Millisecond)
	r.faults.Add(1)
	await := one.begin(ctx)
	pause(ctx, delay)
	second, err := other.inProcess(ctx)
	if err != nil {
		return err
	}
	first, err := await()
	if err != nil {
		return err
	}
	both := func(o outcome, s sight) (all []wrong) {
		if !o.OK {
			all = append(all, misjudged) // having nothing to remove is a success
		}
		if len(s.records) > 0 {
			all = append(all, stuck)
		}
		if !sameNames(s.objects, union(first.Remains, second.Remains), slices.Concat(first.Unsure, second.Unsure)) {
			all = append(all, leftOver)
		}
		return all
	}
	judge("first removal", first, both)
	judge("second removal", second, both)
	return nil
}

// removalKilled: the runner of a removal is killed at any moment, in half of the runs with its helm. The same host or another one
// finishes the removal, in any of the three ways, and reports success only when no pod is left.
func removalKilled(ctx context.Context, r *run, judge judge) error {
	in := r.job(install)
	in.Deadline = time.Now().Add(-time.Minute)
	o := in.do(ctx)
	judge("install", o, r.afterInstall)
	if !o.OK {
		return nil
	}
	removals := []action{uninstall, removeJob, removeOld}
	limited, kill := context.WithTimeout(ctx, time.Duration(logUniform(r.rng, 100, 5000))*time.Millisecond)
	defer kill()
	first, err := r.job(removals[r.rng.IntN(3)]).inProcess(limited)
	if killed := limited.Err() != nil && err != nil; err != nil && !killed {
		return err
	} else if killed {
		r.faults.Add(1)
		if r.rng.IntN(2) == 0 {
			for _, pid := range processesWith(func(arg string) bool { return arg == "--namespace="+r.namespace }) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	other := r.job(removals[r.rng.IntN(3)])
	other.IgnoreNotFound = true
	if r.rng.IntN(3) > 0 {
		other.Home, other.Binary = filepath.Join(r.dir, "other-host"), r.binaries[r.rng.IntN(2)]
	}
	if o, err = other.inProcess(ctx); err != nil {
		return err
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	judge(string(other.Action), o, func(o outcome, s sight) (all []wrong) {
		if o.Tries == 0 {
			o.Remains, o.Unsure = union(o.Remains, first.Remains), union(o.Unsure, first.Unsure)
		}
		if all = r.afterUninstall(o, s); o.OK && pods > 0 {
			all = append(all, early)
		}
		return all
	})
	return r.removeRest(ctx, judge, o, first, outcome{Remains: r.stays})
}

// refusedBy has the API server refuse one thing, from the start or when the release is there. When it
// is allowed again, everything that was left can be removed.
func refusedBy(by refuser) func(context.Context, *run, judge) error {
	return func(ctx context.Context, r *run, judge judge) error {
		what := by.draw(r)
		// Without the right to read its record, nobody can say what happens to a release.
		late := r.rng.IntN(3) == 0 && what.verb != anyVerb
		if err := by.prepare(ctx, r); err != nil {
			return err
		}
		defer func() { _ = by.allow(context.WithoutCancel(ctx), r, what) }()
		if !late {
			if err := by.refuse(ctx, r, what); err != nil {
				return err
			}
		}
		r.faults.Add(1)
		o := r.job(install).do(ctx)
		judge(fmt.Sprintf("install without %s", what), o, r.afterInstall)
		told := []outcome{o}
		if o.OK {
			if late {
				if err := by.refuse(ctx, r, what); err != nil {
					return err
				}
			}
			removal := r.job([]action{uninstall, removeJob}[r.rng.IntN(2)])
			o = removal.do(ctx)
			judge(fmt.Sprintf("%s without %s", removal.Action, what), o, r.afterUninstall)
			told = append(told, o)
		}
		if err := by.allow(ctx, r, what); err != nil {
			return err
		}
		return r.removeRest(ctx, judge, told...)
	}
}
