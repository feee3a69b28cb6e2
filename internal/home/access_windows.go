package home

// checkAccess looks at nothing: on Windows lists of access rights say who may write, and those of a
// user's own folders, where a home is by default, leave others out.
func checkAccess(string, ...string) error { return nil }
