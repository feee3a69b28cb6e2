package fetch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/growth"
)

func TestGrowthOfIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.yaml")
	index := growth.Reader{Name: "versionsIn", Read: func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, _ = versionsAt(path, "web", 1<<30)
	}}
	const head = "apiVersion: v1\nentries:\n  web:\n"
	growth.Check(t, []growth.Reader{index}, append(growth.YAML,
		growth.Numbered("versions", head, "  - version: 1.0.{i}\n    urls: [a]\n", ""),
		growth.Numbered("charts", head, "  - version: 1.0.0\n  c{i}:\n", ""),
		growth.Repeated("versions that are none", head, "  - version: v\n", ""),
		growth.Repeated("one long version", head+"  - version: ", "1.", "\n"),
		growth.Repeated("long lines", head+"  - description: ", "x", "\n"),
		growth.Repeated("aliases", head+"  - &a {description: "+strings.Repeat("x", 500)+"}\n", "  - *a\n", ""),
		growth.Repeated("comments in an index", head, "# x\n", ""),
		growth.Repeated("JSON", `{"entries":{"web":[{}`, `,{"version":"1.0.0"}`, "]}}"),
		growth.Repeated("nested JSON", `{"entries":{"web":`, "[", ""),
		growth.Repeated("JSON with keys again and again", `{"entries":{"web":[]`, `,"web":[]`, "}}"),
	))
}

func TestGrowthOfAddresses(t *testing.T) {
	growth.Check(t, []growth.Reader{
		{Name: "parseAddress", Read: func(text string) { _, _ = parseAddress(text) }},
		{Name: "parseRepoURL", Read: func(text string) {
			if u, err := parseRepoURL(text); err == nil {
				_ = nameOfRepo(u)
			}
		}},
	}, growth.Words)
}
