package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"holdfast/domain/fault"
)

// lockFolder makes this process the owner of the folder until the file is
// closed or the process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "lock the folder of postgres", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // it was never ours
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &fault.Error{Kind: fault.Conflict, Op: "start postgres", Code: "folder_in_use", Sentence: fmt.Sprintf(
			"%s is in use by another running Holdfast; stop that one or choose another folder", dir)}
	}
	return nil, fault.E(fault.Unavailable, "lock the folder of postgres", err)
}

// loadPassword reads the superuser's password, or makes one for a new cluster.
func loadPassword(dir string) (string, error) {
	path := filepath.Join(dir, "password")
	written, err := os.ReadFile(path)
	if err == nil && len(written) > 0 {
		return strings.TrimSpace(string(written)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fault.E(fault.Unavailable, "read the password of postgres", err)
	}
	if dataVersion(dir) != "" {
		return "", &fault.Error{Kind: fault.Unavailable, Op: "start postgres", Code: "password_missing", Sentence: fmt.Sprintf(
			"%s is missing, so nobody can log in to the data beside it; put it back, or remove %s to start empty", path, dir)}
	}
	password := rand.Text()
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return "", fault.E(fault.Unavailable, "write the password of postgres", err)
	}
	return password, nil
}

// dataVersion is the major version of the binaries that made the data, "" when
// there is none yet.
func dataVersion(dir string) string {
	written, err := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(written))
}

// account is the user as whom the server runs; nil is the user that we are.
type account struct {
	name     string
	uid, gid uint32
}

// serverAccount chooses another user when we are root, as whom Postgres refuses
// to run.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
		if errUID != nil || errGID != nil || uid == 0 {
			continue
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, &fault.Error{Kind: fault.Unavailable, Op: "start postgres", Code: "no_account",
		Sentence: "Postgres refuses to run as root and there is no user postgres or nobody; make one, or run Holdfast as an ordinary user"}
}

// own gives a path to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// credential is what a child process runs as.
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
}
