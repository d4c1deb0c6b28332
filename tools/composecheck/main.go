// Command composecheck reads a compose file as `docker compose config -q` does,
// with the specification's own library, for machines without that plugin.
// Variables come from the environment. It prints the first fault and ends with
// exit code 1, or prints the services.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "composecheck:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: composecheck FILE")
	}
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv, cli.WithResolvedPaths(false))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	names := project.ServiceNames()
	for _, name := range names {
		if image := project.Services[name].Image; !strings.Contains(image, ":") || strings.HasSuffix(image, ":latest") {
			return fmt.Errorf("service %s: image %q is not pinned to a version", name, image)
		}
	}
	fmt.Printf("%s: %d services: %s\n", os.Args[1], len(names), strings.Join(names, " "))
	return nil
}
