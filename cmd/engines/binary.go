package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"holdfast/domain/fault"
)

const (
	// program is the name of the file that we look for.
	program = "holdfast-devstack"
	// binaryVariable names the file, ahead of all places where it is looked for.
	binaryVariable = "HOLDFAST_DEVSTACK"
)

// FindBinary returns the path of holdfast-devstack: what HOLDFAST_DEVSTACK
// names, else the file beside the running program, else in bin/ of the current
// folder or of one above it (as tests run in the folder of their package), else
// on PATH.
func FindBinary() (string, error) {
	if named := os.Getenv(binaryVariable); named != "" {
		if !executable(named) {
			return "", missing(fmt.Sprintf("%s=%s is not a program", binaryVariable, named))
		}
		return named, nil
	}
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), program); executable(beside) {
			return beside, nil
		}
	}
	if here, err := os.Getwd(); err == nil {
		for dir := here; ; dir = filepath.Dir(dir) {
			if built := filepath.Join(dir, "bin", program); executable(built) {
				return built, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if onPath, err := exec.LookPath(program); err == nil {
		return onPath, nil
	}
	return "", missing("the program " + program + " was not found beside this one nor in bin/")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func missing(what string) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "start temporal", Code: "devstack_missing",
		Sentence: what + `; build it with "make devstack", or name it with ` + binaryVariable}
}
