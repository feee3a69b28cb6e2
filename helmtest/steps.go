package helmtest

import "path/filepath"

// Steps are what the runs so far were for, one text each, in the order in which they began: "plan web", "apply web",
// "install web", "upgrade web", "rollback web", "uninstall web", "test web", and "dry-run web" for an install or upgrade with
// DryRun. An upgrade by Apply is "apply web" too. Further tries are steps of their own. Looks are none: they change nothing,
// and how many of them there are is not part of what helmexec promises.
func (f *Fake) Steps() []string {
	var steps []string
	for _, c := range f.Calls() {
		if step := c.step(); step != "" {
			steps = append(steps, step+" "+c.Arg(0))
		}
	}
	return steps
}

// step is the verb of a call, "" if it changes nothing and plans nothing.
func (c Call) step() string {
	switch command := c.Command(); command {
	case "install", "upgrade":
		if filepath.Base(c.Arg(1)) == "plan.tgz" {
			return "apply"
		}
		return command
	case "dry-run install", "dry-run upgrade":
		if c.Flag("--output") == "json" {
			return "plan"
		}
		return "dry-run"
	case "rollback", "uninstall", "test":
		return command
	}
	return ""
}
