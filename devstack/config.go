package devstack

import (
	"fmt"
	"net"
	"regexp"
	"time"
)

// Config says where the stack keeps its data and where it listens. The zero
// value is not usable; start from Defaults.
type Config struct {
	// PostgresAddr is host:port of the Postgres server.
	PostgresAddr string
	// PostgresUser may create databases, or both databases exist already and it owns them.
	PostgresUser string
	// PostgresPassword may be empty when the server trusts the address.
	PostgresPassword string
	// Database holds workflow state; it is created when missing.
	Database string
	// VisibilityDatabase holds what lists and searches read; it is created when missing.
	VisibilityDatabase string
	// PostgresWait is how long Start waits for Postgres to accept connections.
	PostgresWait time.Duration

	// IP is the address on which the frontend and the Web UI listen. The other
	// services listen on 127.0.0.1 only.
	IP string
	// FrontendPort is the gRPC port, 0 for a free one.
	FrontendPort int
	// UIPort is the port of the Web UI, 0 for a free one.
	UIPort int
	// Headless leaves the Web UI out.
	Headless bool
	// MetricsAddr is host:port for Prometheus metrics; empty means none.
	MetricsAddr string
	// ProfilePort serves net/http/pprof on 127.0.0.1; 0 means not.
	ProfilePort int

	// Namespace is registered, with Retention and the search attributes, before
	// the frontend opens.
	Namespace string
	// Retention is how long closed workflows stay readable.
	Retention time.Duration
	// Shards is the number of history shards. It is fixed when the database is
	// new; later starts keep the number that the database has.
	Shards int
	// Connections is the size of each service's pool of Postgres connections.
	// Four services have one pool each.
	Connections int
	// LogLevel is debug, info, warn or error.
	LogLevel string
}

// Defaults returns the configuration of a stack on one machine.
func Defaults() Config {
	return Config{
		PostgresAddr:       "127.0.0.1:5432",
		PostgresUser:       "holdfast",
		Database:           "temporal",
		VisibilityDatabase: "temporal_visibility",
		PostgresWait:       time.Minute,
		IP:                 "127.0.0.1",
		FrontendPort:       7233,
		UIPort:             8233,
		Namespace:          "default",
		Retention:          7 * 24 * time.Hour,
		Shards:             64,
		Connections:        24,
		LogLevel:           "error",
	}
}

// databaseName is what we accept unquoted in CREATE DATABASE and in a URL.
var databaseName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Validate returns the first fault as one sentence that names the setting.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.PostgresAddr); err != nil {
		return fmt.Errorf("postgres-addr %q is not host:port", c.PostgresAddr)
	}
	if c.PostgresUser == "" {
		return fmt.Errorf("postgres-user is empty")
	}
	for flag, name := range map[string]string{"database": c.Database, "visibility-database": c.VisibilityDatabase} {
		if !databaseName.MatchString(name) {
			return fmt.Errorf("%s %q is not a database name: lower-case letters, digits and _ only", flag, name)
		}
	}
	if c.Database == c.VisibilityDatabase {
		return fmt.Errorf("database and visibility-database are both %q; they need two databases", c.Database)
	}
	if net.ParseIP(c.IP) == nil {
		return fmt.Errorf("ip %q is not an IP address", c.IP)
	}
	for flag, port := range map[string]int{"frontend-port": c.FrontendPort, "ui-port": c.UIPort, "profile-port": c.ProfilePort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("%s %d is not a port: 0 to 65535", flag, port)
		}
	}
	return c.validateSizes()
}

func (c Config) validateSizes() error {
	if c.Namespace == "" {
		return fmt.Errorf("namespace is empty")
	}
	if c.Retention < time.Hour {
		return fmt.Errorf("retention %s is shorter than one hour", c.Retention)
	}
	if c.Shards < 1 || c.Shards > 4096 {
		return fmt.Errorf("shards %d is out of range: 1 to 4096", c.Shards)
	}
	if c.Connections < 4 {
		return fmt.Errorf("connections %d is too few: at least 4", c.Connections)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return nil
	}
	return fmt.Errorf("log-level %q is not debug, info, warn or error", c.LogLevel)
}
