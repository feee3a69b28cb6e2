package argument

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sut-bench/helmexec/internal/errdef"
)

// Selector accepts a label query by the grammar of Kubernetes, and none. Helm reads it only if there is a release to
// compare with, so that a query which is none would find nothing, without an error.
func Selector(text string) error {
	if err := Text("selector", text); err != nil {
		return err
	}
	if err := queryWords(text).query(); err != nil {
		return errdef.Invalidf("selector %.80q: %v", text, err)
	}
	return nil
}

// query is the rest of a label query, word by word.
type query []string

const (
	blanks  = " \t\r\n"
	symbols = "=!(),<>"
)

func queryWords(text string) (words query) {
	for text = strings.TrimLeft(text, blanks); text != ""; text = strings.TrimLeft(text, blanks) {
		end := strings.IndexAny(text, blanks+symbols)
		switch {
		case strings.HasPrefix(text, "==") || strings.HasPrefix(text, "!="):
			end = 2
		case end == 0:
			end = 1
		case end < 0:
			end = len(text)
		}
		words, text = append(words, text[:end]), text[end:]
	}
	return words
}

// at is the next word, "" at the end.
func (q query) at() string {
	if len(q) == 0 {
		return ""
	}
	return q[0]
}

func (q *query) next() string {
	word := q.at()
	*q = (*q)[min(1, len(*q)):]
	return word
}

// query reads requirements, with commas between them.
func (q query) query() error {
	for len(q) > 0 {
		if err := q.requirement(); err != nil {
			return err
		}
		switch word := q.next(); {
		case word != "" && word != ",":
			return fmt.Errorf("%q where a comma is expected", word)
		case word == "," && len(q) == 0:
			return fmt.Errorf("nothing follows the last comma")
		}
	}
	return nil
}

// requirement reads "key", "!key", "key in (a, b)", "key = value" or "key > 1".
func (q *query) requirement() error {
	absent := q.at() == "!"
	if absent {
		q.next()
	}
	key := q.next()
	if !IsLabelKey(key) {
		return fmt.Errorf("%q is not the key of a label", key)
	}
	if absent || q.at() == "" || q.at() == "," {
		return nil
	}
	switch operator := q.next(); operator {
	case "in", "notin":
		return q.set()
	case "=", "==", "!=", "<", ">":
		value := ""
		if q.at() != "" && q.at() != "," {
			value = q.next()
		}
		if _, err := strconv.ParseInt(value, 10, 64); err != nil && (operator == "<" || operator == ">") {
			return fmt.Errorf("%q is not a number to compare %s with", value, key)
		}
		return queryValue(value)
	default:
		return fmt.Errorf("%q where an operator is expected", operator)
	}
}

// set reads values in parentheses. A value is empty where one is missing, except between the last two commas of "(a,,)",
// which Kubernetes refuses.
func (q *query) set() error {
	if word := q.next(); word != "(" {
		return fmt.Errorf("%q where a parenthesis is expected", word)
	}
	if q.at() == ")" {
		q.next()
		return nil
	}
	for {
		switch word := q.next(); {
		case word == "," && q.at() == ")":
			q.next()
			return nil
		case word == ",":
			if q.at() == "," {
				q.next()
			}
		case word == "":
			return fmt.Errorf("a parenthesis is not closed")
		default:
			if err := queryValue(word); err != nil {
				return err
			}
			if q.at() == ")" {
				q.next()
				return nil
			} else if q.at() != "," {
				return fmt.Errorf("%q where a comma or parenthesis is expected", q.at())
			}
		}
	}
}

func queryValue(value string) error {
	if !IsLabelValue(value) {
		return fmt.Errorf("%q is not the value of a label", value)
	}
	return nil
}
