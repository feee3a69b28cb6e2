package chart

import "time"

// Version is one version of a chart in a repository's index, with what the index says about it.
type Version struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	AppVersion  string    `json:"appVersion,omitempty"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created,omitzero"`
	Deprecated  bool      `json:"deprecated,omitempty"`
	Digest      string    `json:"digest,omitempty"` // SHA-256 of the archive, in hex; many indexes prefix "sha256:"
	URLs        []string  `json:"urls,omitempty"`
}
