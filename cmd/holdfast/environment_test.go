package main

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew; read the difference before committing it")

func TestEnvironment_DefaultsAreThoseOfTheInterface(t *testing.T) {
	t.Parallel()
	e, err := parseEnvironment(map[string]string{"HOLDFAST_TOKEN_KEY": "", "PATH": "/bin"})
	require.NoError(t, err)
	require.EqualValues(t, ":8080", e.HTTPAddr)
	require.EqualValues(t, "0.0.0.0:5060", e.SIPAddr)
	require.Equal(t, portRange{20000, 29999}, e.RTPPorts)
	require.Equal(t, slog.LevelInfo, e.Log)
	require.Empty(t, e.TokenKeys, "a variable that is set to nothing is not set")
}

func TestEnvironment_ValuesAreRead(t *testing.T) {
	t.Parallel()
	e, err := parseEnvironment(map[string]string{
		"HOLDFAST_HTTP_ADDR": "127.0.0.1:0", "HOLDFAST_SIP_ADVERTISE": "sip.example.com:5070", "HOLDFAST_RTP_ADVERTISE": "203.0.113.7",
		"HOLDFAST_RTP_PORTS": "40000-40999", "HOLDFAST_LOG": "debug", "HOLDFAST_LOG_FORMAT": "json", "HOLDFAST_DRAIN": "1m",
		"HOLDFAST_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1", "HOLDFAST_SECURE_COOKIES": "true",
		"HOLDFAST_TOKEN_KEY": "aG9sZGZhc3QtdGVzdHMtdGhpcy1pcy1ub3Qtc2VjcmV0IQ==, MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	})
	require.NoError(t, err)
	host, port := e.SIPAdvertise.split("5060")
	require.Equal(t, []string{"sip.example.com", "5070"}, []string{host, port})
	host, port = advertised("192.0.2.9").split("5060")
	require.Equal(t, []string{"192.0.2.9", "5060"}, []string{host, port})
	require.Equal(t, netip.MustParseAddr("203.0.113.7"), e.RTPAdvertise)
	require.Len(t, e.TokenKeys, 2)
	require.NotEqual(t, e.TokenKeys[0], e.TokenKeys[1])
	require.Equal(t, []string{"10.0.0.0/8", "192.0.2.1"}, e.TrustedProxies)
}

// A wrong variable: one sentence that names it and what to do, exit code 2.
func TestEnvironment_WhatIsWrongIsNamedInOneSentence(t *testing.T) {
	t.Parallel()
	for variable, values := range map[string][]string{
		"HOLDFAST_HTTP_ADDR":      {"8080", "localhost", "127.0.0.1:http", "1.2.3.4:70000"},
		"HOLDFAST_SIP_ADVERTISE":  {"a b", "host:0", ":5060", "x\r\nVia: y"},
		"HOLDFAST_RTP_PORTS":      {"20000", "30000-20000", "1-2", "20000-70000", "a-b"},
		"HOLDFAST_LOG":            {"loud"},
		"HOLDFAST_LOG_FORMAT":     {"xml"},
		"HOLDFAST_DRAIN":          {"10", "soon"},
		"HOLDFAST_SECURE_COOKIES": {"perhaps"},
		"HOLDFAST_MAX_CALLS":      {"many", "1e3"},
		"HOLDFAST_RTP_ADVERTISE":  {"example.com"},
		"HOLDFAST_TOKEN_KEY":      {"secret!", "c2hvcnQ="},
	} {
		for _, value := range values {
			_, err := parseEnvironment(map[string]string{variable: value})
			require.Error(t, err, "%s=%s", variable, value)
			require.Equal(t, exitUsage, exitCode(err))
			s := sentence(err)
			require.True(t, strings.HasPrefix(s, variable+": "), s)
			require.NotContains(t, s, "\n")
			require.NotContains(t, s, "parse error on field", s)
			if variable == "HOLDFAST_TOKEN_KEY" {
				require.NotContains(t, s, value, "a secret is not repeated")
			}
		}
	}
}

func TestEnvironment_MisspeltNamesAreFound(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"HOLDFAST_HTP_ADDR"}, unknown(map[string]string{
		"HOLDFAST_HTP_ADDR": ":1", "HOLDFAST_HTTP_ADDR": ":1", "HOLDFAST_DEVSTACK_SHARDS": "64", "HOME": "/root",
	}))
}

func TestConfigurationPage_IsGeneratedFromTheTable(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	environmentPage(&page)
	const file = "../../docs/configuration.md"
	if *update {
		require.NoError(t, os.WriteFile(file, page.Bytes(), 0o644))
	}
	committed, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(committed), page.String(), "run go test ./cmd/holdfast -update and commit docs/configuration.md with the change")
}

func TestEnvironment_EveryVariableIsExplainedAndHasAReader(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"all": true}
	for _, c := range commands().Commands() {
		known[c.Name()] = true
	}
	for _, v := range variables() {
		require.Regexp(t, regexp.MustCompile(`^(HOLDFAST|TEMPORAL)_[A-Z_]+$`), v.name)
		require.True(t, strings.HasSuffix(v.doc, "."), v.name)
		for _, r := range strings.Fields(v.roles) {
			require.True(t, known[r], "%s is for %s, which is no command", v.name, r)
		}
		require.NotEmpty(t, v.roles, v.name)
	}
	require.Contains(t, environmentText(), "HOLDFAST_SIP_ADVERTISE")
}

func TestCommands_AreThoseOfTheInterface(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range commands().Commands() {
		names = append(names, c.Name())
		require.NotEmpty(t, c.Short)
	}
	require.Subset(t, names, []string{"dev", "api", "worker", "telephony", "migrate", "apply", "export", "phone", "call", "replay", "doctor", "version"})
}

func TestCommands_WrongArgumentsEndWithCode2AndOneSentence(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"fly"}, {"dev", "now"}, {"dev", "--datta", "x"}, {"call"}, {"call", "8000", "--for", "long"}, {"phone"}, {"phone", "--as", "1001"},
		{"phone", "--as", "1001@demo.localhost", "--reject", "200"}, {"call", "8000", "--transport", "smoke"}, {"call", "8000", "--header", "x"},
		{"call", "8000", "--tone", "440", "--play", "x.wav"}, {"call", "8000", "--play", "/nowhere.wav"}, {"replay"}, {"replay", "/nowhere.json"},
		{"apply"}, {"apply", "-f", "/nowhere.yaml"}, {"migrate", "--url", "x"},
	} {
		root := commands()
		root.SetArgs(args)
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		err := root.ExecuteContext(t.Context())
		require.Error(t, err, "%v", args)
		require.Equal(t, exitUsage, exitCode(err), "%v: %v", args, err)
		require.NotContains(t, sentence(err), "\n", "%v", args)
	}
}

// Who tries webhooks out receives on the own machine; where Holdfast really runs, nothing
// inside is reached unless the operator says so.
func TestEnvironment_WebhooksReachThisMachineOnlyInDev(t *testing.T) {
	t.Parallel()
	require.Empty(t, environment{}.receivers().Allowed)
	require.NoError(t, devEnvironment(environment{}).receivers().CheckAddr(netip.MustParseAddr("127.0.0.1"), false))
	require.Error(t, devEnvironment(environment{}).receivers().CheckAddr(netip.MustParseAddr("10.0.0.1"), true))
	named := networks{netip.MustParsePrefix("10.0.0.0/8")}
	require.Equal(t, []netip.Prefix(named), devEnvironment(environment{WebhookNetworks: named}).receivers().Allowed)
}
