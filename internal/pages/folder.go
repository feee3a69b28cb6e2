package pages

import (
	"errors"
	"os"
	"path/filepath"
)

// A reader's program, and its module.
const (
	program = `package main

import (
	"context"
	"fmt"
	"log"

	"github.com/sut-bench/helmexec"
)

func main() {
	helm, err := helmexec.New(helmexec.Config{})
	if err != nil {
		log.Fatal(err)
	}
	releases, err := helm.List(context.Background(), helmexec.ListOptions{AllNamespaces: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the cluster has", len(releases), "releases")
}
`
	module = "module example.org/mine\n\ngo 1.26.0\n"
)

// Make makes what a group of commands finds below the folder dir, and returns the folder to run them in.
func (f Folder) Make(root, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil || f == Source {
		return root, err
	}
	if f == Inside {
		dir = filepath.Join(dir, "helmexec")
	}
	mine := filepath.Join(dir, "mine")
	if f == Inside {
		return dir, errors.Join(
			linkAll(root, dir),
			os.Mkdir(mine, 0o755),
			os.WriteFile(filepath.Join(mine, "main.go"), []byte(program), 0o600),
		)
	}
	return mine, errors.Join(
		os.Symlink(root, filepath.Join(dir, "helmexec")),
		os.Mkdir(mine, 0o755),
		os.WriteFile(filepath.Join(mine, "main.go"), []byte(program), 0o600),
		os.WriteFile(filepath.Join(mine, "go.mod"), []byte(module), 0o600),
	)
}

// linkAll makes the folder dir with a link to all that is in root.
func linkAll(root, dir string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.Symlink(filepath.Join(root, entry.Name()), filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
