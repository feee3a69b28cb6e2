package chart

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
	"github.com/sut-bench/helmexec/internal/pattern"
	"github.com/sut-bench/helmexec/internal/safeyaml"
)

// UserValues combines the values that a user gives, as Helm combines several --values: local files, later ones
// over earlier ones, and over on top. A null stays, because it deletes a default of the chart.
//
// Errors: ErrInvalid, also for a URL instead of a file; ErrTooLarge for a file of more than 1 MiB.
func UserValues(files []string, over Values) (Values, error) {
	all := Values{}
	for _, file := range files {
		v, err := readFile(file)
		if err != nil {
			return nil, err
		}
		all.overlay(v)
	}
	all.overlay(over)
	return all, nil
}

// parseValues reads values as Helm does. A text that is empty or has only comments gives no values. Several
// documents are laid over one another, as in Helm 4; Helm 3 reads only the first.
func parseValues(what string, data []byte) (Values, error) {
	if len(data) > safeyaml.MaxSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than the %d that values may have",
			ErrTooLarge, what, len(data), safeyaml.MaxSize)
	}
	values := Values{}
	pass := safeyaml.NewPass(context.Background(), len(data))
	for doc := range safeyaml.Documents(data) {
		if doc.Refused != nil {
			return nil, fmt.Errorf("%s: line %d: %w", what, doc.Start, doc.Refused)
		}
		var table map[string]any
		var wrong *json.UnmarshalTypeError
		switch err := pass.Decode(doc.Text, &table, safeyaml.UseNumber); {
		case errors.As(err, &wrong) && wrong.Field == "":
			is := map[string]string{"array": "a list", "string": "a text", "bool": "true or false", "number": "a number"}[wrong.Value]
			return nil, fmt.Errorf("%s: it is %s: want a mapping, such as key: value", what, cmp.Or(is, wrong.Value))
		case err != nil:
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		values.overlay(table)
	}
	return values, nil
}

// readFile reads a local file of values.
func readFile(path string) (Values, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: values file: %w", ErrInvalid, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: values file %s is not a regular file", ErrInvalid, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: values file: %w", ErrInvalid, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, safeyaml.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("values file: %w", err)
	}
	values, err := parseValues("values file "+path, data)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = errdef.Invalidf("%w", err)
	}
	return values, err
}

// checkPath refuses what helm would not read as a local file: "-" is its stdin, and a path with a scheme is
// fetched, also one that a plugin serves.
func checkPath(path string) error {
	switch {
	case strings.TrimSpace(path) == "":
		return fmt.Errorf("%w: the path of a values file is empty", ErrInvalid)
	case strings.TrimSpace(path) == "-":
		return fmt.Errorf("%w: values file %q: stdin is not read; give the values as Values", ErrInvalid, path)
	case schemePattern().MatchString(path):
		scheme, _, _ := strings.Cut(path, ":")
		return fmt.Errorf("%w: a values file is a local path, not a URL (scheme %.20q); write ./ before a file name with a colon",
			ErrInvalid, scheme)
	}
	return nil
}

// schemePattern matches what net/url reads as a scheme; one letter is a drive of Windows.
var schemePattern = pattern.New(`^\s*[a-zA-Z][a-zA-Z0-9+.-]+:`)
