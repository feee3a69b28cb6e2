//go:build !linux && !darwin

package binary

import "io/fs"

var formats []string

func fileOf(fs.FileInfo) (file, bool) { return file{}, false }
