// Package testdata has the recordings of real Helms for the fake helm of package helmtest.
package testdata

import "embed"

// Recordings has what helm printed when something went wrong, by version and scene, stderr/v4.3.1/name-taken.txt, and some of what
// it prints when all is well, stdout/v4.3.1/pull-unsigned.txt.
//
//go:embed stderr stdout
var Recordings embed.FS
