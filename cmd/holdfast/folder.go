package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tokenFile holds the secret of access tokens.
const tokenFile = "token.key"

// folder is where `holdfast dev` keeps everything: databases, keys, logs. One
// process owns it at a time; the kernel frees the lock however that process ends.
type folder struct {
	path string
	lock *os.File
	logs []*os.File
}

// openFolder makes or resumes a folder and becomes its owner.
func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, usage("--data: %w", err)
	}
	// Others may pass through: Postgres runs as another user when we are root.
	if err := os.MkdirAll(filepath.Join(path, "log"), 0o711); err != nil {
		return nil, usage("the folder for the data can't be made: %w; choose another one by --data", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, usage("the folder for the data can't be used: %w; choose another one by --data", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(lock) // without the number the sentence is still true
		_ = lock.Close()             // it was never ours
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, usage("%s is in use by another holdfast dev (process %s); stop it, or choose another folder by --data", path, strings.TrimSpace(string(owner)))
		}
		return nil, usage("%s can't be locked: %w", path, err)
	}
	f := &folder{path: path, lock: lock}
	if err := f.claim(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// claim notes who we are for the next one who asks.
func (f *folder) claim() error {
	if err := f.lock.Truncate(0); err != nil {
		return err
	}
	_, err := f.lock.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	return err
}

// close gives the folder up.
func (f *folder) close() {
	for _, l := range f.logs {
		_ = l.Close() // a log that can't be flushed is lost with the disk
	}
	_ = f.lock.Close() // frees the lock
}

func (f *folder) in(name string) string { return filepath.Join(f.path, name) }

// write keeps a small file that only the owner may read.
func (f *folder) write(name, text string) error {
	if err := os.WriteFile(f.in(name), []byte(text), 0o600); err != nil {
		return usage("%s can't be written: %w", f.in(name), err)
	}
	return nil
}

// tokenKey reads the secret of access tokens, or makes one for a new folder, so
// that who is signed in stays so over a restart.
func (f *folder) tokenKey() (tokenKeys, error) {
	text, err := f.tokenText()
	if err != nil {
		return nil, err
	}
	var keys tokenKeys
	if err := keys.UnmarshalText([]byte(text)); err != nil {
		return nil, usage("%s %w; remove it to get a new one", f.in(tokenFile), err)
	}
	return keys, nil
}

// tokenText is that secret as HOLDFAST_TOKEN_KEY has it.
func (f *folder) tokenText() (string, error) {
	file := f.in(tokenFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		b = []byte(base64.StdEncoding.EncodeToString(secret) + "\n")
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		return "", usage("the key of access tokens can't be kept: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// log opens a log file anew; the one of the run before is kept beside it.
func (f *folder) log(name string) (*os.File, error) {
	file := f.in(filepath.Join("log", name))
	if err := os.Rename(file, file+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, usage("the log of the run before can't be kept: %w", err)
	}
	l, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, usage("the log can't be written: %w", err)
	}
	f.logs = append(f.logs, l)
	return l, nil
}

// logger writes everything to the folder, and what a person should see now to the
// console, where the same message does not come again and again.
func (f *folder) logger(e environment, person *console) (*slog.Logger, error) {
	file, err := f.log("holdfast.log")
	if err != nil {
		return nil, err
	}
	kept := min(e.Log, slog.LevelInfo)
	return slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(file, &slog.HandlerOptions{Level: kept}),
		newCalm(person),
	)), nil
}
