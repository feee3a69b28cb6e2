package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sut-bench/helmexec"
)

// hostileCase is a chart that tries to run what a plan does not show. testdata/hostile/README.md says how it is written.
type hostileCase struct {
	name, slug string
	alone      bool
	refused    error // of Plan; nil if it makes a plan
	text       string
	fails      []string // the Helms with which what is planned is refused, by helm or the API server
	runs       []string // images of the pods and of what makes pods, as the API server has them
	shows      []string // what the plan has beside them, because it runs later or not at all
	files      map[string]string
}

// refusals are the words for errors in the table.
var refusals = map[string]error{
	"manifest": helmexec.ErrBadManifest, "chart": helmexec.ErrBadChart, "render": helmexec.ErrRenderFailed,
	"large": helmexec.ErrOutputTooLarge, "any": nil,
}

// errAnyRefusal stands for a refusal in words that only helm has.
var errAnyRefusal = errors.New("any error")

// documents are lines of the table that stand for the beginning of an object.
var beginnings = map[string]string{
	"%pod":    "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\n",
	"%cm":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n",
	"%deploy": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\n",
	"%good":   "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec: {containers: [{name: c, image: good}]}\n",
	"%bolts": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: bolts.NAME.example}\n" +
		"spec: {group: NAME.example, scope: Namespaced, names: {kind: Bolt, plural: bolts, singular: bolt}, versions: [{name: v1, served: true, storage: true, " +
		"schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n",
}

// readHostile reads a file of cases.
func readHostile(topic, text string) (cases []*hostileCase, err error) {
	var c *hostileCase
	var file string
	quoted := false
	for number, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fail := func(why string) error { return fmt.Errorf("%s.txt:%d: %s", topic, number+1, why) }
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			c = &hostileCase{name: name, files: map[string]string{}, slug: fmt.Sprintf("%s-%03d", topic, len(cases)+1)}
			cases, file = append(cases, c), ""
			continue
		}
		if c == nil {
			if line != "" && line[0] != '#' {
				return nil, fail("not in a case")
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, ">>>"); ok {
			if file, quoted = strings.CutSuffix(strings.TrimSpace(rest), "quoted"); strings.TrimSpace(file) == "" {
				file = "templates/a.yaml"
			}
			if file = strings.TrimSpace(file); strings.HasPrefix(file, `"`) {
				if file, err = strconv.Unquote(file); err != nil {
					return nil, fail(err.Error())
				}
			}
			c.files[file] = ""
			continue
		}
		if file == "" {
			if err := c.expect(strings.Fields(line)); err != nil {
				return nil, fail(err.Error())
			}
			continue
		}
		text := line + "\n"
		if begin, ok := beginnings[line]; ok {
			text = begin
		} else if quoted {
			if text, err = strconv.Unquote(`"` + line + `"`); err != nil {
				return nil, fail(err.Error())
			}
		}
		c.files[file] += text
	}
	return cases, nil
}

// expect reads a line that says what is to come of a case.
func (c *hostileCase) expect(words []string) (err error) {
	if len(words) == 0 {
		return nil
	}
	var known bool
	switch words[0] {
	case "runs":
		c.runs, err = unescaped(words[1:])
	case "shows":
		c.shows, err = unescaped(words[1:])
	case "fails":
		if c.fails = words[1:]; len(c.fails) == 0 {
			c.fails = []string{"helm3", "helm4"}
		}
	case "alone":
		c.alone = true
	case "refused":
		if len(words) < 2 {
			return errors.New("by which error?")
		}
		if c.refused, known = refusals[words[1]]; !known {
			return fmt.Errorf("unknown error %q", words[1])
		}
		if c.refused == nil {
			c.refused = errAnyRefusal
		}
		c.text = strings.Join(words[2:], " ")
	default:
		return fmt.Errorf("unknown word %q", words[0])
	}
	return err
}

// unescaped reads the names of images, in which unusual characters are escaped.
func unescaped(words []string) (names []string, err error) {
	for _, word := range words {
		name, err := strconv.Unquote(`"` + word + `"`)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// isAlone reports whether the case needs a release of its own.
func (c *hostileCase) isAlone(helm string) bool {
	return c.alone || c.refused != nil || slices.Contains(c.fails, helm)
}

// hostileCases reads all files, by their topic.
func hostileCases(t *testing.T) map[string][]*hostileCase {
	t.Helper()
	files, err := filepath.Glob("../testdata/hostile/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]*hostileCase{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		topic := strings.TrimSuffix(filepath.Base(file), ".txt")
		if all[topic], err = readHostile(topic, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// write writes the chart of the case into a folder. name is what its objects are called.
func (c *hostileCase) write(dir, name string) error {
	files := map[string]string{"Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n"}
	packed := map[string]map[string]string{}
	for file, text := range c.files {
		text = strings.ReplaceAll(text, "NAME", name)
		if archive, inner, ok := strings.Cut(file, ".tgz:"); ok {
			if packed[archive] == nil {
				packed[archive] = map[string]string{"Chart.yaml": "apiVersion: v2\nname: packed\nversion: 1.0.0\n"}
			}
			packed[archive][inner] = text
			continue
		}
		files[file] = text
	}
	for archive, inner := range packed {
		text, err := packChart("packed", inner)
		if err != nil {
			return err
		}
		files[archive+".tgz"] = string(text)
	}
	for file, text := range files {
		place := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(place, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// packChart packs the files of a chart.
func packChart(folder string, files map[string]string) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for name, text := range files {
		err := archive.WriteHeader(&tar.Header{Name: path.Join(folder, name), Mode: 0o600, Size: int64(len(text))})
		if err == nil {
			_, err = archive.Write([]byte(text))
		}
		if err != nil {
			return nil, err
		}
	}
	err := errors.Join(archive.Close(), zipped.Close())
	return out.Bytes(), err
}

// planned is what a plan has to show of the case.
func (c *hostileCase) planned() []string { return unique(append(slices.Clone(c.runs), c.shows...)) }

func unique(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}
