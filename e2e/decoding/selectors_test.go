package decoding

import (
	"math/rand/v2"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sut-bench/helmexec/internal/argument"
)

// A selector is accepted if, and only if, Kubernetes accepts it: every short text of these pieces, and many longer ones.
func TestSelectors(t *testing.T) {
	same := func(text string) {
		_, theirs := labels.Parse(text)
		ours := argument.Selector(text)
		if (theirs == nil) != (ours == nil) {
			t.Fatalf("%q: Kubernetes says %v, helmexec %v", text, theirs, ours)
		}
	}
	pieces := []string{"a", "in", "notin", "=", "!", "(", ")", ",", ">", "1", " "}
	var all func(text string, more int)
	all = func(text string, more int) {
		same(text)
		if more > 0 {
			for _, piece := range pieces {
				all(text+piece, more-1)
			}
		}
	}
	all("", 5)

	pieces = append(pieces, "==", "!=", "<", "\t", "\n", " in (", " notin (", "b,", "x.io/", "x..io/", "x-.io/", "X.io/", "/", "é", "\xff", "\u00a0", "-", ".", "_", "9223372036854775807", "9223372036854775808", "07",
		strings.Repeat("b", 62), strings.Repeat("b", 63), strings.Repeat("b.", 120), strings.Repeat("b", 190)+"/", strings.Repeat("b", 63)+"./")
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var text strings.Builder
		for range 1 + random.IntN(12) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		same(text.String())
	}
}
