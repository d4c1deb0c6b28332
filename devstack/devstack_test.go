package devstack

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"gopkg.in/yaml.v3"
)

func TestAssignColumns_NewNamespace_EveryAttributeHasItsColumn(t *testing.T) {
	t.Parallel()
	got, err := assignColumns(nil, SearchAttributes)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"Keyword01": "CCTenant", "Keyword02": "CCQueue", "Keyword03": "CCAgent",
		"Keyword04": "CCAgentState", "Keyword05": "CCCallPhase", "Keyword06": "CCDirection",
	}, got)
}

func TestAssignColumns_LaterBuildKnowsMore_OldColumnsStayWhatTheyWere(t *testing.T) {
	t.Parallel()
	have := map[string]string{"Keyword02": "CCTenant", "Keyword01": "Somebody"}
	got, err := assignColumns(have, []string{"CCTenant", "CCQueue"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"Keyword01": "Somebody", "Keyword02": "CCTenant", "Keyword03": "CCQueue"}, got)
	require.Len(t, have, 2, "the given map is left alone")
}

func TestAssignColumns_AllColumnsUsed_SaysWhichAttributeFoundNone(t *testing.T) {
	t.Parallel()
	have := map[string]string{}
	for n := 1; n <= columns; n++ {
		have[column(n)] = fmt.Sprint("Attribute", n)
	}
	_, err := assignColumns(have, []string{"CCTenant"})
	require.ErrorContains(t, err, "CCTenant")
}

func TestReserve_PortChosen_NobodyElseGetsItYetOurServerListensOnIt(t *testing.T) {
	t.Parallel()
	r, err := reserve("127.0.0.1", 0, "")
	require.NoError(t, err)
	defer r.release()
	addr := fmt.Sprintf("127.0.0.1:%d", r.Port)
	listener, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
}

func TestReserve_SomebodyListens_SaysTheAddressAndTheFlag(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	_, err = reserve("127.0.0.1", listener.Addr().(*net.TCPAddr).Port, "ui-port")
	var taken *PortTakenError
	require.ErrorAs(t, err, &taken)
	require.Equal(t, listener.Addr().String()+
		" is in use by another program; stop it or choose another port with --ui-port", err.Error())
}

func TestConfig_WrongSettings_EachRefusedByName(t *testing.T) {
	t.Parallel()
	require.NoError(t, Defaults().Validate())
	for want, spoil := range map[string]func(*Config){
		"postgres-addr":       func(c *Config) { c.PostgresAddr = "localhost" },
		"postgres-user":       func(c *Config) { c.PostgresUser = "" },
		"database":            func(c *Config) { c.Database = `x"; DROP` },
		"visibility-database": func(c *Config) { c.VisibilityDatabase = "" },
		"two databases":       func(c *Config) { c.VisibilityDatabase = c.Database },
		"ip":                  func(c *Config) { c.IP = "here" },
		"frontend-port":       func(c *Config) { c.FrontendPort = -1 },
		"ui-port":             func(c *Config) { c.UIPort = 65536 },
		"namespace":           func(c *Config) { c.Namespace = "" },
		"retention":           func(c *Config) { c.Retention = 0 },
		"shards":              func(c *Config) { c.Shards = 0 },
		"connections":         func(c *Config) { c.Connections = 1 },
		"log-level":           func(c *Config) { c.LogLevel = "loud" },
	} {
		c := Defaults()
		spoil(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}

func TestDynamicConfig_ClusterInContainers_HasTheSameValues(t *testing.T) {
	t.Parallel()
	written, err := os.ReadFile("../docker/temporal/dynamic.yaml")
	require.NoError(t, err)
	var file map[string][]struct{ Value any }
	require.NoError(t, yaml.Unmarshal(written, &file))
	inFile := map[string]string{}
	for key, values := range file {
		require.Len(t, values, 1, key)
		inFile[strings.ToLower(key)] = fmt.Sprint(values[0].Value)
	}
	inProcess := map[string]string{}
	for key, value := range dynamicConfig() {
		if d, ok := value.(time.Duration); ok {
			value = shortest(d)
		}
		inProcess[strings.ToLower(key.String())] = fmt.Sprint(value)
	}
	require.Equal(t, inProcess, inFile)
}

// shortest is how a person writes a duration: 24h, not 24h0m0s.
func shortest(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m") + map[bool]string{true: "0s"}[d == 0]
}

func TestLogger_Fatal_OneSentenceAndTheExitCode(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l, ok := newLogger("error", &out).(*logger)
	require.True(t, ok)
	code := 0
	l.exit = func(c int) { code = c }
	log.With(l, tag.Service("frontend")).Fatal("no room", tag.Error(errors.New("the moon is full")))
	require.Equal(t, "Temporal stopped: no room: the moon is full\n", out.String())
	require.Equal(t, 1, code)
}

func TestLogger_OrdinaryStart_SaysNothingAtErrorLevelButOtherErrors(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := log.With(newLogger("error", &out), tag.Service("history"))
	l.Warn("slow")
	l.Error("Queue reader unable to retrieve tasks", tag.Error(errors.New("shard status unknown")))
	require.Empty(t, out.String())
	l.Error("Queue reader unable to retrieve tasks", tag.Error(errors.New("disk full")))
	require.Contains(t, out.String(), "disk full")
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "one line, without a stack")
}
