package helmexec

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/internal/argument"
)

func ExampleSUTNamePrune() {
	fmt.Println(SUTNamePrune("My_Model v1.2 (final)"))
	fmt.Println(SUTNamePrune("百度/llama"))
	fmt.Println(SUTNamePrune("文心一言"))
	// Output:
	// my-modelv12final
	// llama-4ai4yf36
	// sut-rd3q4swc
}

func ExampleSUTHelmName() {
	fmt.Println(SUTHelmName("42", "Qwen_7B"))
	fmt.Println(SUTHelmName("550e8400-e29b-41d4-a716-446655440000", "qwen"))
	// Output:
	// job-42-sut-qwen-7b
	// job-550e8400-e29b-41d4-a716-446655440000-sut-qwen
}

func ExampleParseSUTHelmName() {
	jobID, sut, ok := ParseSUTHelmName("job-42-sut-qwen-7b")
	fmt.Println(jobID, sut, ok)
	// Output: 42 qwen-7b true
}

func TestSUTNamePrune(t *testing.T) {
	tests := []struct{ name, want string }{
		{"demo", "demo"},
		{"a", "a"},
		{"a--b", "a--b"},
		{"My_SUT", "my-sut"},
		{"-mychart", "mychart"},
		{"my-chart-", "my-chart"},
		{"__a__b__", "a--b"},
		{"foo - bar", "foo-bar"},
		{"A B", "ab"},
		{"a__b", "a--b"},
		{"v1.2.3", "v123"},
		{"meta-llama/Llama-3.1:8b", "meta-llamallama-318b"},
		{`team\model`, "teammodel"},
		{"a\tb\nc\u00a0d\u3000e", "abcde"},
		{"a–b—c‿d", "abcd"},
		{"c++", "c"},
		{"foo!(bar)", "foobar"},
		{"demo\x00\x1b[31m", "demo31m"},
		{"--post-renderer=./evil.sh", "post-rendererevilsh"},
		{"😀demo", "demo"},
		{"K", "k"}, // the Kelvin sign, whose lower case is an ASCII letter
		{"7b", "7b"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, SUTNamePrune(tt.name), "%q", tt.name)
	}
}

func TestSUTNamePruneWithoutLegalCharacter(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"", "-", "___", "模型", "模型二", "Модель", "😀", "\xff", "\xff\xfe", "!!!"} {
		got := SUTNamePrune(name)
		assert.Regexp(t, `^sut-[a-z2-7]{8}$`, got, "%q", name)
		assert.Equal(t, got, SUTNamePrune(name), "stable")
		assert.Empty(t, seen[got], "%q and %q give %s", seen[got], name, got)
		seen[got] = name
	}
}

func TestSUTNamePruneKeepsNamesOfOtherScriptsApart(t *testing.T) {
	a, b := SUTNamePrune("百度-llama"), SUTNamePrune("阿里-llama")
	assert.NotEqual(t, a, b)
	assert.Regexp(t, `^llama-[a-z2-7]{8}$`, a)
}

func TestSUTNamePruneLength(t *testing.T) {
	for _, n := range []int{1, 52, 53} {
		name := strings.Repeat("a", n)
		assert.Equal(t, name, SUTNamePrune(name))
		assert.Equal(t, name, SUTNamePrune(strings.ToUpper(name)))
	}
	long := strings.Repeat("a", 54)
	got := SUTNamePrune(long)
	assert.Len(t, got, 53)
	assert.Regexp(t, `^a{44}-[a-z2-7]{8}$`, got)
	assert.NotEqual(t, got, SUTNamePrune(long+"a"), "long names that share their beginning stay distinct")

	// the cut falls behind a dash
	assert.Regexp(t, `^a{43}-[a-z2-7]{8}$`, SUTNamePrune(strings.Repeat("a", 43)+"-"+strings.Repeat("b", 20)))
	// a hash for a dropped letter must fit, too
	assert.Len(t, SUTNamePrune("模"+strings.Repeat("a", 53)), 53)
}

func TestSUTHelmName(t *testing.T) {
	uuid := "550e8400-e29b-41d4-a716-446655440000"
	tests := []struct {
		name, jobID, sut, want string // want is a pattern
	}{
		{"plain", "1", "demo", `job-1-sut-demo`},
		{"pruned", "1", "My_SUT", `job-1-sut-my-sut`},
		{"chinese", "1", "模型", `job-1-sut-sut-[a-z2-7]{8}`},
		{"empty name", "1", "", `job-1-sut-sut-[a-z2-7]{8}`},
		{"separator in the name", "1", "a-sut-b", `job-1-sut-a-sut-b`},
		{"uuid", uuid, "demo1234", `job-` + uuid + `-sut-demo1234`},
		{"uuid, name too long", uuid, "demo12345", `job-` + uuid + `-sut-[a-z2-7]{8}`},
		{"52 characters", "1", strings.Repeat("a", 42), `job-1-sut-a{42}`},
		{"53 characters", "1", strings.Repeat("a", 43), `job-1-sut-a{43}`},
		{"54 characters", "1", strings.Repeat("a", 44), `job-1-sut-a{34}-[a-z2-7]{8}`},
		{"cut behind a dash", "1", strings.Repeat("a", 33) + "-" + strings.Repeat("b", 20), `job-1-sut-a{33}-[a-z2-7]{8}`},
		{"empty id", "", "demo", `job-id-[a-z2-7]{8}-sut-demo`},
		{"id of another script", "任务", "demo", `job-id-[a-z2-7]{8}-sut-demo`},
		{"id with illegal characters", "Team/42", "demo", `job-team42-[a-z2-7]{8}-sut-demo`},
		{"id of 36 characters", strings.Repeat("1", 36), "demo", `job-1{36}-sut-demo`},
		{"id of 37 characters", strings.Repeat("1", 37), "demo", `job-1{27}-[a-z2-7]{8}-sut-demo`},
		{"id of a kilobyte", strings.Repeat("1", 1024), strings.Repeat("x", 1024), `job-1{27}-[a-z2-7]{8}-sut-[a-z2-7]{8}`},
		{"separator in the id", "a-sut-b", "demo", `job-a-b-[a-z2-7]{8}-sut-demo`},
		{"separator at the end of the id", "a-sut", "demo", `job-a-[a-z2-7]{8}-sut-demo`},
		{"separators upon separators", "a-sut-sut-sut-b", "demo", `job-a-b-[a-z2-7]{8}-sut-demo`},
		{"id that is the word", "sut", "demo", `job-sut-sut-demo`},
		{"id that begins with the word", "sut-5", "demo", `job-sut-5-sut-demo`},
		{"id with dashes side by side", "a--b", "demo", `job-a--b-sut-demo`},
		{"id that ends like a hash", "nightly-training", "demo", `job-nightly-training-[a-z2-7]{8}-sut-demo`},
		{"id that is the hash of another", "foo-ds7mon7y", "demo", `job-foo-ds7mon7y-[a-z2-7]{8}-sut-demo`},
		{"id of eight letters", "training", "demo", `job-training-sut-demo`},
		{"id that ends in a date", "nightly-20240501", "demo", `job-nightly-20240501-sut-demo`},
		{"id cut behind the word", strings.Repeat("a", 23) + "-suture-" + strings.Repeat("b", 20), "demo", `job-a{23}-[a-z2-7]{8}-sut-demo`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := SUTHelmName(tt.jobID, tt.sut)
			assert.Regexp(t, "^"+tt.want+"$", got)
			assertSUTHelmName(t, tt.jobID, tt.sut, got)
		})
	}
}

// assertSUTHelmName checks what holds for every input.
func assertSUTHelmName(t *testing.T, jobID, sut, got string) {
	t.Helper()
	require.NoError(t, argument.Release(got))
	require.Regexp(t, legalPart(), got)
	id, name, ok := ParseSUTHelmName(got)
	require.True(t, ok, "%s", got)
	require.Equal(t, got, SUTHelmName(jobID, name), "idempotent in the name")
	require.Equal(t, got, SUTHelmName(jobID, SUTNamePrune(sut)), "pruning the name before changes nothing")
	require.True(t, strings.HasPrefix(SUTHelmName(jobID, "other"), "job-"+id+"-sut-"), "the releases of a job share a prefix")
}

func TestParseSUTHelmName(t *testing.T) {
	tests := []struct {
		release, id, sut string
		ok               bool
	}{
		{"job-1-sut-demo", "1", "demo", true},
		{"job-1-sut-a-sut-b", "1", "a-sut-b", true},
		{"job-sut-sut-x", "sut", "x", true},
		{"job-1-sut-sut-x", "1", "sut-x", true},
		{"", "", "", false},
		{"demo", "", "", false},
		{"job-1", "", "", false},
		{"job--sut-x", "", "", false},
		{"job-1-sut-", "", "", false},
		{"job-1-sut--x", "", "", false},
		{"job-1--sut-x", "", "", false},
		{"job-sut-x", "", "", false},
		{"Job-1-sut-x", "", "", false},
		{"my-job-1-sut-x", "", "", false},
		{"job-1-sut-x.y", "", "", false},
		{"job-1-sut-" + strings.Repeat("a", 44), "", "", false},
	}
	for _, tt := range tests {
		id, sut, ok := ParseSUTHelmName(tt.release)
		assert.Equal(t, tt.ok, ok, tt.release)
		assert.Equal(t, tt.id, id, tt.release)
		assert.Equal(t, tt.sut, sut, tt.release)
	}
}

func TestValidateReleaseName(t *testing.T) {
	for _, name := range []string{"a", "1", "demo", "a.b", "a-b.c-1", strings.Repeat("a", 52), strings.Repeat("a", 53)} {
		assert.NoError(t, argument.Release(name), name)
	}
	tests := []struct{ name, says string }{
		{"", "empty"},
		{strings.Repeat("a", 54), "54 characters are more than the 53"},
		{"Demo", `"Demo"`},
		{"-demo", "letter or digit at the start"},
		{"--post-renderer=./evil.sh", "SUTNamePrune"},
		{"demo-", "letter or digit"},
		{"a..b", "letter or digit"},
		{"a.-b", "letter or digit"},
		{"a_b", "a-z, 0-9"},
		{"a\n", "a-z, 0-9"},
		{"模型", "a-z, 0-9"},
		{strings.Repeat("x", 100_000), "100000 characters"},
	}
	for _, tt := range tests {
		err := argument.Release(tt.name)
		require.ErrorIs(t, err, ErrInvalidArgument, tt.name)
		assert.ErrorContains(t, err, tt.says)
		assert.Less(t, len(err.Error()), 400, "the message stays short")
	}
}

var (
	notFirst = regexp.MustCompile(`[^-a-z0-9]`)
	foreign  = regexp.MustCompile(`[^\PLa-z]|[^\PN0-9]`)
)

// firstPrune is sut_name_prune of the first version: Python's lower(), re.sub("_", "-"), re.sub("[^-a-z0-9]", "").
// dropped tells that a letter or digit of another script was lost.
func firstPrune(name string) (pruned string, dropped bool) {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	return notFirst.ReplaceAllString(name, ""), foreign.MatchString(name)
}

func TestSUTNamePruneAsTheFirstVersion(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	characters := []rune("abcxyzABCXYZ0189__--- .,:/\\|+()[]!@#\t\n\x00–—模é😀\ufffdK")
	same := 0
	for range 20_000 {
		var name []rune
		for range random.IntN(60) {
			name = append(name, characters[random.IntN(len(characters))])
		}
		first, dropped := firstPrune(string(name))
		got := SUTNamePrune(string(name))
		if !dropped && len(first) <= 53 && legalPart().MatchString(first) {
			same++
			require.Equal(t, first, got, "%q", string(name))
		}
		require.True(t, isLegalPart(got, 53), "%q gives %q", string(name), got)
		require.Equal(t, got, SUTNamePrune(got), "idempotent")
	}
	assert.Greater(t, same, 1000, "names that the first version made legal")
}

func FuzzSUTHelmName(f *testing.F) {
	f.Add("1", "demo")
	f.Add("a-sut-b", "My_SUT")
	f.Add("任务", "模型")
	f.Add("a-sut", "sut-sut-")
	f.Add(strings.Repeat("1", 40), strings.Repeat("a-", 40))
	f.Add("foo-ds7mon7y", "v1.2.3 (Final)__x")
	f.Add(strings.Repeat("a", 23)+"-suture-x", "Ünder_İ")
	f.Fuzz(func(t *testing.T, jobID, sut string) {
		pruned := SUTNamePrune(sut)
		if first, lossy := firstPrune(sut); !lossy && len(first) <= argument.MaxReleaseName && legalPart().MatchString(first) {
			require.Equal(t, first, pruned, "as the first version")
		}
		require.Regexp(t, legalPart(), pruned)
		require.LessOrEqual(t, len(pruned), 53)
		require.Equal(t, pruned, SUTNamePrune(pruned))

		got := SUTHelmName(jobID, sut)
		assertSUTHelmName(t, jobID, sut, got)
		if isLegalPart(jobID, maxJobID) && !hidesSeparator(jobID) && !looksCleaned().MatchString(jobID) && legalPart().MatchString(sut) &&
			len("job-"+jobID+"-sut-"+sut) <= argument.MaxReleaseName {
			require.Equal(t, "job-"+jobID+"-sut-"+sut, got, "legal parts are kept")
		}
	})
}
