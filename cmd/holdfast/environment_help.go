package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

// temporalVariables are read by the SDK (go.temporal.io/sdk/contrib/envconfig).
var temporalVariables = []variable{
	{"TEMPORAL_ADDRESS", "localhost:7233", "api worker telephony replay doctor", "host:port of the Temporal frontend. dev has its own."},
	{"TEMPORAL_NAMESPACE", "default", "api worker telephony replay doctor", "Namespace of the workflows."},
	{"TEMPORAL_API_KEY", "", "api worker telephony replay doctor", "Key for Temporal Cloud; turns TLS on."},
	{"TEMPORAL_TLS", "", "api worker telephony replay doctor", "true for TLS."},
	{"TEMPORAL_TLS_CLIENT_CERT_PATH", "", "api worker telephony replay doctor", "Client certificate; …_DATA takes the PEM itself."},
	{"TEMPORAL_TLS_CLIENT_KEY_PATH", "", "api worker telephony replay doctor", "Its private key; …_DATA takes the PEM itself."},
	{"TEMPORAL_TLS_SERVER_CA_CERT_PATH", "", "api worker telephony replay doctor", "Certificates that the server's is checked with; …_DATA takes the PEM itself."},
	{"TEMPORAL_TLS_SERVER_NAME", "", "api worker telephony replay doctor", "Name that the server's certificate must have."},
	{"TEMPORAL_CONFIG_FILE", "", "api worker telephony replay doctor", "TOML file with profiles; TEMPORAL_PROFILE chooses one."},
}

// variable is one row of the table.
type variable struct{ name, value, roles, doc string }

// variables lists what the environment may hold, in the order of the struct.
func variables() []variable {
	var all []variable
	for f := range reflect.TypeFor[environment]().Fields() {
		all = append(all, variable{f.Tag.Get("env"), f.Tag.Get("envDefault"), f.Tag.Get("roles"), f.Tag.Get("doc")})
	}
	return append(all, temporalVariables...)
}

func environmentTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "The variables by which the roles are configured",
		Long:  environmentText(),
	}
}

// environmentText is the table for a terminal.
func environmentText() string {
	var b strings.Builder
	b.WriteString("The roles are configured by environment variables:\n")
	for _, v := range variables() {
		fmt.Fprintf(&b, "\n  %s", v.name)
		if v.value != "" {
			fmt.Fprintf(&b, " (default %s)", v.value)
		}
		fmt.Fprintf(&b, "\n      %s\n      For: %s.\n", v.doc, strings.ReplaceAll(v.roles, " ", ", "))
	}
	return b.String()
}

// environmentPage is docs/configuration.md.
func environmentPage(w io.Writer) {
	fmt.Fprint(w, "# Configuration\n\n"+
		"Every role reads its configuration from environment variables, once, at its start. A wrong value is named in one sentence, and the exit code is 2. "+
		"`holdfast help environment` prints the same table, `holdfast doctor` checks what is set. This page is generated from `cmd/holdfast/environment.go` "+
		"(`go test ./cmd/holdfast -update`).\n\n"+
		"| variable | default | read by | meaning |\n| --- | --- | --- | --- |\n")
	for _, v := range variables() {
		value := v.value
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", v.name, value, strings.ReplaceAll(v.roles, " ", ", "), v.doc)
	}
}
