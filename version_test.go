package helmexec

import (
	"os"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
)

func TestAdvisories(t *testing.T) {
	for _, test := range []struct {
		version string
		want    string // the digits behind the last dash or # of each
	}{
		{"v3.14.0+g3fc9f4b", "35206 55199 55198 53547 32387 32386 26147 25620"},
		{"v3.14.1", "35206 55199 55198 53547 32387 32386 26147"},
		{"v3.14.2", "35206 55199 55198 53547 32387 32386"},
		{"v3.17.2", "35206 55199 55198 53547 32387 32386"},
		{"v3.17.3", "35206 55199 55198 53547"},
		{"v3.17.4", "35206 55199 55198"},
		{"v3.18.0-rc.1", "35206 55199 55198 53547"},
		{"v3.18.3", "35206 55199 55198 53547"},
		{"v3.18.4", "35206 55199 55198"},
		{"v3.18.5", "35206"},
		{"v3.20.1", "35206"},
		{"v3.20.2", ""},
		{"v3.22.0", ""},
		{"v3.22", ""},
		{"v4.0.0", "35206 35205 35204"},
		{"v4.1.4-rc.1", "35206 35205 35204"},
		{"v4.1.4", ""},
		{"v4.2.0", ""},
		{"v4.2.1", "32215 32214"},
		{"v4.2.2", "32215"},
		{"v4.2.4", "32215"},
		{"v4.3.1", ""},
		{"v5.0.0", ""},
		{"no version", ""},
	} {
		var got []string
		for _, a := range (Version{Text: test.version}).Advisories() {
			got = append(got, a.ID[strings.LastIndexAny(a.ID, "-#")+1:])
		}
		assert.Equal(t, test.want, strings.Join(got, " "), test.version)
	}
}

// Every advisory can be looked up, and the page about security says what is done about it.
func TestAdvisoriesAreSourced(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	for _, a := range advisories {
		assert.Regexp(t, `^https://github\.com/helm/helm/(issues/\d+|security/advisories/GHSA(-[0-9a-z]{4}){3})$`, a.URL, a.ID)
		assert.NotEmpty(t, a.Summary, a.ID)
		require.Len(t, a.since, len(a.FixedIn), a.ID)
		for i, fixed := range a.FixedIn {
			assert.True(t, semver.MustParse(a.since[i]).LessThan(semver.MustParse(fixed)), a.ID)
			assert.Contains(t, string(page), fixed, a.ID)
		}
		assert.Contains(t, string(page), "["+a.ID+"]("+a.URL+")")
	}
}

func TestMinVersion(t *testing.T) {
	for _, test := range []struct{ min, version, says string }{
		{"", "v3.14.0", ""},
		{"v3.20.2", "v3.20.2", ""},
		{"3.20.2", "v3.20.1", "Config.MinVersion is 3.20.2"},
		{"v3.20.2", "v3.20.2-rc.1", "Config.MinVersion is v3.20.2"},
		{"v3.20.2", "v4.0.0", ""},
		{"v4.1.4", "v3.22.0", "Config.MinVersion is v4.1.4"},
		{"v3.20.2, v4.1.4", "v3.20.2", ""},
		{"v4.1.4,v3.20.2", "v3.20.1", "Config.MinVersion is v3.20.2"},
		{"v3.20.2 v4.1.4", "v4.1.3", "Config.MinVersion is v4.1.4"},
		{"v3.20.2, v4.1.4", "v4.1.4", ""},
		{"v3.20.2, v4.1.4", "v5.0.0", ""},
		{"v3.1.0", "v3.13.0", "at least v3.14.0"},
	} {
		// GetManifest asks for no version by itself.
		for _, call := range []func(*Helm) error{
			func(h *Helm) error { _, err := h.Version(t.Context()); return err },
			func(h *Helm) error { _, err := h.GetManifest(t.Context(), "web", GetOptions{}); return err },
		} {
			h, fake := withFake(t, Config{MinVersion: test.min})
			fake.SetVersion(test.version)
			err := call(h)
			if test.says == "" {
				assert.NotErrorIs(t, err, ErrUnsupportedVersion, "%+v", test)
				continue
			}
			require.ErrorIs(t, err, ErrUnsupportedVersion, "%+v", test)
			assert.ErrorContains(t, err, test.says)
			assert.Empty(t, fake.Commands(), "nothing but the version was asked")
		}
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, min := range []string{"latest", "v3.20.2 and later", "^3"} {
		_, err := New(Config{Binary: self, Home: t.TempDir(), MinVersion: min})
		assert.ErrorIs(t, err, ErrInvalidArgument, min)
	}
}

// Another program that is named as helm is told so.
func TestVersionOfAnotherProgram(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("version", helmtest.Reply{Exit: 1, Stderr: "error: unknown flag: --short\nSee 'kubectl version --help' for usage.\n"})
	_, err := h.Version(t.Context())
	require.ErrorIs(t, err, ErrUnsupportedVersion)
	require.ErrorContains(t, err, "may be another program")
}
