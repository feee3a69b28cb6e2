package home

// checkAccess checks nothing: on Windows access control lists say who may write, and those of a
// user's own folders, where a home is by default, exclude others.
func checkAccess(string, ...string) error { return nil }
