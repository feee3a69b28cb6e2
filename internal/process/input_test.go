package process

import (
	"io"
	"os"
	"testing"
)

// The content can be read by a process that outlives this one: it is in a file, which nobody else can open.
func TestInput(t *testing.T) {
	for name, input := range map[string]func([]byte, string) (*os.File, func(), error){
		"as the system allows": Input,
		"in a folder": func(content []byte, dir string) (*os.File, func(), error) {
			f, done, err := temporary(dir)
			if err == nil {
				err = fill(f, content)
			}
			return f, done, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, done, err := input([]byte("replicas: 3"), dir)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
				t.Errorf("no file: %v", err)
			}
			if text, err := io.ReadAll(f); err != nil || string(text) != "replicas: 3" {
				t.Errorf("got %q, %v", text, err)
			}
			done()
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}
