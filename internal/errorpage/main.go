// Command errorpage writes docs/errors.md from what the source says: the comments of the errors in errors.go, and the
// paragraph "Errors:" in the comment of each call. Run it in the top folder of the source.
package main

import (
	"fmt"
	"os"
)

func main() {
	page, err := Page(".")
	if err == nil {
		err = os.WriteFile("docs/errors.md", []byte(page), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "errorpage:", err)
		os.Exit(1)
	}
}
