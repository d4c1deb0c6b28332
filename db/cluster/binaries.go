package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"holdfast/domain/fault"
)

// binDirVariable names a folder with postgres and initdb, ahead of all others.
const binDirVariable = "HOLDFAST_POSTGRES_BIN"

// installHint says how to get the server.
const installHint = "install them, on Debian or Ubuntu with \"apt-get install postgresql\", or set " +
	binDirVariable + " to their folder"

// binaries are the server's programs of one version.
type binaries struct {
	dir     string
	version string // major, as in PG_VERSION: "15"
}

// findBinaries returns the newest installed server, or the one that can read
// data of the version made before.
func findBinaries(made string) (binaries, error) {
	found := installed()
	if len(found) == 0 {
		return binaries{}, &fault.Error{Kind: fault.Unavailable, Op: "start postgres", Code: "postgres_missing",
			Sentence: "the PostgreSQL server programs postgres and initdb were not found; " + installHint}
	}
	if made == "" {
		return found[0], nil
	}
	for _, b := range found {
		if b.version == made {
			return b, nil
		}
	}
	return binaries{}, &fault.Error{Kind: fault.Unavailable, Op: "start postgres", Code: "postgres_version", Sentence: fmt.Sprintf(
		"the data was made by PostgreSQL %s, but only %s is installed; install version %s, or choose another folder for the data",
		made, versions(found), made)}
}

// installed lists the servers of this machine, newest first; what the user
// names goes first of all.
func installed() []binaries {
	var found []binaries
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			continue // only a malformed pattern fails
		}
		for _, dir := range dirs {
			found = appendServer(found, dir)
		}
	}
	if onPath, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(onPath); err == nil {
			found = appendServer(found, filepath.Dir(real))
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return number(b.version) - number(a.version) })
	if named := os.Getenv(binDirVariable); named != "" {
		found = append(appendServer(nil, named), found...)
	}
	return found
}

// appendServer adds dir when it holds a server that runs.
func appendServer(found []binaries, dir string) []binaries {
	if slices.ContainsFunc(found, func(b binaries) bool { return b.dir == dir }) {
		return found
	}
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return found
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return found
	}
	// "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"
	words := strings.Fields(string(out))
	if len(words) < 3 {
		return found
	}
	major, _, _ := strings.Cut(words[2], ".")
	return append(found, binaries{dir: dir, version: major})
}

// number orders versions; "17beta1" counts as 17.
func number(version string) int {
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		version = version[:digits]
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return n
}

func versions(found []binaries) string {
	var names []string
	for _, b := range found {
		names = append(names, b.version)
	}
	return strings.Join(slices.Compact(names), ", ")
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }
