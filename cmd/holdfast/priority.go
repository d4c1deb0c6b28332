package main

import (
	"errors"
	"log/slog"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// hurry gives all threads of this process the niceness nice, and with them those that
// they will start: audio is late for whoever listens when another process is served
// first. Without the right to (CAP_SYS_NICE) the process goes on as it is.
func hurry(nice int, log *slog.Logger) {
	if nice == 0 {
		return
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		log.Warn("The priority of this process could not be set.", "err", err)
		return
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		err = unix.Setpriority(unix.PRIO_PROCESS, id, nice)
		switch {
		case errors.Is(err, unix.ESRCH): // it has ended meanwhile
		case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
			log.Info("Audio has ordinary priority: grant CAP_SYS_NICE so that it comes first on a busy machine, or set HOLDFAST_NICE=0.")
			return
		case err != nil:
			log.Warn("The priority of this process could not be set.", "err", err)
			return
		}
	}
}
