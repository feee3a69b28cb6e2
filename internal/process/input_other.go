//go:build !linux

package process

import "os"

func nameless() *os.File { return nil }
