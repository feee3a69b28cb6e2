package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// validators identify the response that an index came in, so that its source can say whether it still has the
// same one. Without an ETag or a Last-Modified they are empty.
type validators struct {
	ETag         string `json:",omitempty"`
	LastModified string `json:",omitempty"`
	URL          string `json:",omitempty"` // where the response came from, after redirects
	Digest       string `json:",omitempty"` // of the bytes that came in it
}

// A time of modification counts seconds. What was modified so recently may be modified again and keep its time,
// or an ETag that is made of it.
const (
	restOfETag         = 2 * time.Second
	restOfLastModified = time.Minute // the clock of the time can differ from that of the response
)

// isEntityTag reports whether a text has the form of an ETag, and a length that is worth keeping.
func isEntityTag(text string) bool {
	quoted := strings.TrimPrefix(text, "W/")
	inner := strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`)
	isOther := func(r rune) bool { return r < '!' || r == '"' || r > '~' }
	return len(inner) == len(quoted)-2 && len(inner) <= 1000 && !strings.ContainsFunc(inner, isOther)
}

// validatorsOf are those of a response with a body of this digest.
func validatorsOf(answer *http.Response, digest string) validators {
	modified, modifiedErr := http.ParseTime(answer.Header.Get("Last-Modified"))
	date, dateErr := http.ParseTime(answer.Header.Get("Date"))
	rested := func(rest time.Duration) bool { return dateErr == nil && date.Sub(modified) >= rest }
	v := validators{URL: sourceOf(answer), Digest: digest}
	switch etag := answer.Header.Get("ETag"); {
	case isEntityTag(etag) && (modifiedErr != nil || rested(restOfETag)):
		v.ETag = etag
	case modifiedErr == nil && rested(restOfLastModified):
		v.LastModified = answer.Header.Get("Last-Modified")
	default:
		return validators{}
	}
	return v
}

// sourceOf is where a response came from, without what may change or be secret.
func sourceOf(answer *http.Response) string {
	u := *answer.Request.URL
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// conditions are the headers of a request for what has other validators.
func (v validators) conditions() http.Header {
	h := http.Header{"User-Agent": {userAgent}}
	if v.ETag != "" {
		h.Set("If-None-Match", v.ETag)
	} else {
		h.Set("If-Modified-Since", v.LastModified)
	}
	return h
}

// confirmed reports whether a response to a request with these conditions says that nothing has changed.
func (v validators) confirmed(answer *http.Response) bool {
	return answer.StatusCode == http.StatusNotModified && sourceOf(answer) == v.URL
}

// of reports whether the validators belong to the bytes of this file.
func (v validators) of(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == v.Digest
}
