package helmexec

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sut-bench/helmexec/helmtest"
	"github.com/sut-bench/helmexec/internal/argument"
)

func TestRegistryLogin(t *testing.T) {
	h, fake := withFake(t, Config{})
	fake.On("registry login", helmtest.Reply{})
	fake.On("registry logout", helmtest.Reply{})
	opts := RegistryOptions{Username: "ann", Password: "s3cret", Source: SourceOptions{InsecureSkipTLSVerify: true, CAFile: "/ca.pem"}}
	require.NoError(t, h.RegistryLogin(t.Context(), "registry.example:5000", opts))
	require.NoError(t, h.RegistryLogout(t.Context(), "registry.example:5000"))
	calls := fake.Calls()
	require.Len(t, calls, 2)
	// Login spells that flag in its own way.
	require.Equal(t, []string{"registry", "login", "--username=ann", "--password-stdin", "--insecure", "--ca-file=/ca.pem", "--", "registry.example:5000"}, calls[0].Args)
	require.Equal(t, "s3cret", calls[0].Stdin)
	require.Equal(t, []string{"registry", "logout", "--", "registry.example:5000"}, calls[1].Args)
}

func TestRegistryLoginRefuses(t *testing.T) {
	h, fake := withFake(t, Config{})
	full := RegistryOptions{Username: "ann", Password: "s3cret"}
	for _, host := range []string{"", "oci://host", "host/path", "-host", "ann:s3cret@host", "host:port", "ho st", "[::1", "host\n"} {
		err := h.RegistryLogin(t.Context(), host, full)
		require.ErrorIs(t, err, ErrInvalidArgument, host)
		require.ErrorIs(t, h.RegistryLogout(t.Context(), host), ErrInvalidArgument, host)
	}
	for _, opts := range []RegistryOptions{{}, {Username: "ann"}, {Password: "s3cret"}} {
		require.ErrorIs(t, h.RegistryLogin(t.Context(), "host", opts), ErrInvalidArgument)
	}
	require.Empty(t, fake.Calls())
}

func TestRegistryHosts(t *testing.T) {
	for _, host := range []string{"localhost", "127.0.0.1:5000", "registry.example", "[::1]:5000", "[2001:db8::1]"} {
		require.NoError(t, argument.RegistryHost(host, host))
	}
}
