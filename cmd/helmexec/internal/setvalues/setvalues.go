// Package setvalues reads values of the command line as helm's --set, --set-string and --set-file do.
package setvalues

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Helm has the same limits.
const (
	maxDepth = 30
	maxIndex = 65536
)

// Set puts assignments, "a.b=1,c[0]=x,d={y,z}", into values, one after the other. value makes a value of its text.
func Set(values map[string]any, text string, value func(string) (any, error)) error {
	s := scanner{[]rune(text)}
	for len(s.rest) > 0 {
		path, err := s.path()
		if err != nil {
			return err
		}
		v, err := s.value(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name(path), err)
		}
		if _, err := put(values, true, path, v); err != nil {
			return err
		}
	}
	return nil
}

// Typed is the value that --set makes of a text: a boolean, nothing, a whole number or the text.
func Typed(text string) (any, error) {
	switch strings.ToLower(text) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	case "0":
		return int64(0), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && text[0] != '0' {
		return n, nil
	}
	return text, nil
}

// Text is the value that --set-string makes of a text.
func Text(text string) (any, error) { return text, nil }

// step is a key of a mapping, or an index of a list.
type step struct {
	key    string
	index  int
	inList bool
}

// name is a path as it was written.
func name(path []step) string {
	var b strings.Builder
	for i, s := range path {
		switch {
		case s.inList:
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}

type scanner struct{ rest []rune }

// until takes the text before the first of some runes, and that rune. A backslash makes the next rune part of the text.
// stop is -1 if none of them comes.
func (s *scanner) until(stops string) (text string, stop rune) {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		r := s.rest[i]
		if strings.ContainsRune(stops, r) {
			s.rest = s.rest[i+1:]
			return b.String(), r
		}
		if r == '\\' {
			if i++; i == len(s.rest) {
				break
			}
			r = s.rest[i]
		}
		b.WriteRune(r)
	}
	s.rest = nil
	return b.String(), -1
}

// path takes all before the equals sign, and the sign.
func (s *scanner) path() ([]step, error) {
	var path []step
	for depth := 0; ; depth++ {
		key, stop := s.until("=[,.")
		path = append(path, step{key: key})
		switch {
		case key == "":
			return nil, fmt.Errorf("%q has an empty key", name(path))
		case depth > maxDepth:
			return nil, fmt.Errorf("%.40q… is nested deeper than %d", name(path), maxDepth)
		}
		for stop == '[' {
			text, closed := s.until("]")
			index, err := strconv.Atoi(text)
			if err != nil || closed != ']' || index < 0 || index > maxIndex {
				return nil, fmt.Errorf("%s[%.20s]: an index is a number from 0 to %d", name(path), text, maxIndex)
			}
			path = append(path, step{index: index, inList: true})
			if text, stop = s.until("[.=,"); text != "" {
				return nil, fmt.Errorf("%s: %.20q follows the index", name(path), text)
			}
		}
		switch stop {
		case '=':
			return path, nil
		case ',', -1:
			return nil, fmt.Errorf("%s has no value: want key=value", name(path))
		}
	}
}

// value takes a value or a list of values, and the comma after it.
func (s *scanner) value(read func(string) (any, error)) (any, error) {
	if len(s.rest) == 0 {
		return "", nil
	}
	if s.rest[0] != '{' {
		text, _ := s.until(",")
		return read(text)
	}
	s.rest = s.rest[1:]
	list := []any{}
	for {
		text, stop := s.until(",}")
		if stop < 0 {
			return nil, errors.New("a list that begins with { ends with }")
		}
		v, err := read(text)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if stop == '}' {
			break
		}
	}
	if len(s.rest) > 0 && s.rest[0] == ',' {
		s.rest = s.rest[1:]
	}
	return list, nil
}

// put returns what a value is after v was put into it at a path. there says that a value is there already.
func put(at any, there bool, path []step, v any) (any, error) {
	if len(path) == 0 {
		return v, nil
	}
	first, rest := path[0], path[1:]
	if !first.inList {
		mapping, is := at.(map[string]any)
		if there && !is {
			return nil, fmt.Errorf("%s: what is there is not a mapping", name(path))
		}
		if !is {
			mapping = map[string]any{}
		}
		below, exists := mapping[first.key]
		now, err := put(below, exists, rest, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", first.key, err)
		}
		mapping[first.key] = now
		return mapping, nil
	}
	list, is := at.([]any)
	if there && !is {
		return nil, fmt.Errorf("%s: what is there is not a list", name(path))
	}
	if missing := first.index + 1 - len(list); missing > 0 {
		list = slices.Concat(list, make([]any, missing))
	}
	below := list[first.index]
	_, mapping := below.(map[string]any)
	// Helm replaces an item by a mapping if it is to get a key, but never by a list.
	toList := len(rest) > 0 && rest[0].inList
	now, err := put(below, mapping || toList && below != nil, rest, v)
	if err != nil {
		return nil, fmt.Errorf("[%d]: %w", first.index, err)
	}
	list[first.index] = now
	return list, nil
}

// Inexact lists the whole numbers that a template prints otherwise than helm --set has it, since they come to helm as a
// file of values does: 1000000 as 1e+06.
func Inexact(v any) []int64 {
	var all []int64
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			all = append(all, Inexact(below)...)
		}
	case []any:
		for _, below := range v {
			all = append(all, Inexact(below)...)
		}
	case int64:
		if math.Abs(float64(v)) >= 1e6 && fmt.Sprint(float64(v)) != fmt.Sprint(v) {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}
