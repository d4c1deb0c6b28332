package main

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// composed is what docker-compose.yml says of a service that runs this program.
type composed struct {
	Command     []string          `yaml:"command"`
	Build       any               `yaml:"build"`
	Environment map[string]string `yaml:"environment"`
	Grace       string            `yaml:"stop_grace_period"`
	Health      struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

// What docker-compose.yml tells the roles is what they read, and they get the time that
// they need to stop.
func TestCompose_EveryRoleGetsWhatItReads(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docker-compose.yml")
	require.NoError(t, err)
	var file struct {
		Services map[string]composed `yaml:"services"`
	}
	require.NoError(t, yaml.UnmarshalWithOptions(data, &file, yaml.AllowDuplicateMapKey()))
	readers := map[string]string{}
	for f := range reflect.TypeFor[environment]().Fields() {
		readers[f.Tag.Get("env")] = f.Tag.Get("roles")
	}
	var roles []string
	for name, s := range file.Services {
		if s.Build == nil {
			continue
		}
		require.Len(t, s.Command, 1, name)
		role := s.Command[0]
		roles = append(roles, role)
		for variable := range s.Environment {
			if strings.HasPrefix(variable, "HOLDFAST_") {
				readBy := strings.Fields(readers[variable])
				require.True(t, slices.Contains(readBy, role) || slices.Contains(readBy, "all"), "%s: %s does not read %s", name, role, variable)
			}
		}
		if role == "migrate" {
			continue
		}
		set := map[string]string{"HOLDFAST_TOKEN_KEY": "", "HOLDFAST_SIP_ADVERTISE": ""}
		for k, v := range s.Environment {
			if !strings.Contains(v, "${") {
				set[k] = v
			}
		}
		e, err := parseEnvironment(set)
		require.NoError(t, err, name)
		asked := e.HealthAddr
		if role == "api" {
			asked = listenAddr("127.0.0.1:" + e.HTTPAddr.port())
		}
		require.Contains(t, s.Health.Test, "http://"+string(asked)+"/readyz", name)
		grace, err := time.ParseDuration(s.Grace)
		require.NoError(t, err, name)
		need := endWithin
		if role == "telephony" {
			need += e.Drain + flushWithin
		}
		require.Greater(t, grace, need, "%s is killed before it has stopped", name)
	}
	slices.Sort(roles)
	require.Equal(t, []string{"api", "migrate", "telephony", "telephony", "worker"}, roles)
}
