package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/sut-bench/helmexec/chart"
	"github.com/sut-bench/helmexec/internal/home"
)

// To read an archive takes tens of milliseconds, to compare its digest takes one. So the home keeps what was read of an
// archive of the cache, under its digest: whatever has this digest has passed every check of a chart.
var describedBound = home.Bound{Bytes: 64 << 20, Entries: 4000}

// description is what is kept of a chart, on two lines: this, and the values, which are large and not always wanted.
type description struct {
	Metadata *chart.Metadata
	Schema   []byte
	Files    []string
	Digest   string
}

// read reads the archive of the cache that is named by a digest, and nil if it is not what it should be.
func (s *Store) read(path, digest string, described bool) *chart.Chart {
	if !described && !hasDigest(path, digest) {
		return nil
	}
	if text, ok := s.described.Get(s.describedKey(digest)); ok {
		if ch := undescribe(text, !described); ch != nil && ch.Digest == digest {
			return ch
		}
	}
	ch, err := chart.Read(path, chart.Options{Limits: chart.Limits{Archive: s.limits.Archive}})
	if err != nil || ch.Digest != digest {
		return nil
	}
	s.describe(ch)
	return ch
}

// hasDigest reports whether a file has a digest.
func hasDigest(path, digest string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return err == nil && "sha256:"+hex.EncodeToString(hash.Sum(nil)) == digest
}

// describedKey has what else decides whether the archive of a digest is read.
func (s *Store) describedKey(digest string) string { return fmt.Sprint(digest, " ", s.limits.Archive) }

// describe keeps what was read of an archive, unless a reader would get something else.
func (s *Store) describe(ch *chart.Chart) {
	text := lines(ch)
	again := undescribe(text, true)
	if again != nil && reflect.DeepEqual(again.Values, ch.Values) && bytes.Equal(text, lines(again)) {
		s.described.Put(s.describedKey(ch.Digest), text)
	}
}

func lines(ch *chart.Chart) []byte {
	rest, err := json.Marshal(description{ch.Metadata, ch.Schema, ch.Files, ch.Digest})
	if err != nil {
		return nil
	}
	values, err := json.Marshal(ch.Values)
	if err != nil {
		return nil
	}
	return append(append(rest, '\n'), values...)
}

// undescribe reads lines; it is nil for anything else.
func undescribe(text []byte, values bool) *chart.Chart {
	first, second, _ := bytes.Cut(text, []byte{'\n'})
	var d description
	if decode(first, &d) != nil || d.Metadata == nil {
		return nil
	}
	ch := &chart.Chart{Metadata: d.Metadata, Schema: d.Schema, Files: d.Files, Digest: d.Digest}
	if values {
		if decode(second, &ch.Values) != nil || ch.Values == nil {
			return nil
		}
		ch.Values = ch.Values.Normal()
	}
	return ch
}

func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
