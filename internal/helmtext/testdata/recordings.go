// Package testdata has the recordings of real Helms for the fake helm of package helmtest.
package testdata

import "embed"

// Stderr has what helm printed to stderr, by version and scene: stderr/v4.3.1/name-taken.txt.
//
//go:embed stderr
var Stderr embed.FS
