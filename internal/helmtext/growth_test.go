package helmtext

import (
	"io"
	"testing"

	"github.com/sut-bench/helmexec/internal/growth"
)

func TestGrowthOfMessages(t *testing.T) {
	growth.Check(t, []growth.Reader{
		{Name: "messages", Read: func(text string) {
			_, _ = KindOf(text, true)
			_ = TestLogs([]byte(text), []string{"a"}, len(text))
			_, _ = PulledDigest(text), Unsigned(text)
			_, _, _ = Verified(text)
			_, _, _ = RecordedNothing(text), NotReadyInTime(text), SawNothing(text)
			_ = Unrecorded(text)
			_, _ = WithoutContent(io.Discard).Write([]byte(text))
			_ = Advice(Failure{Args: []string{"pull"}, Stderr: text})
		}},
	}, growth.Words)
}
