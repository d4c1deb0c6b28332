package devstack

import (
	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// webUI is the Temporal Web UI, served from memory.
type webUI struct {
	server *server.Server
	done   chan struct{}
}

// startUI serves the Web UI in a goroutine that stop ends. It talks to nobody
// but the frontend: no news, no check for new versions.
func startUI(ip string, port int, frontend, namespace string) *webUI {
	ui := &webUI{
		server: server.NewServer(server_options.WithConfigProvider(&config.Config{
			TemporalGRPCAddress: frontend,
			Host:                ip,
			Port:                port,
			EnableUI:            true,
			DefaultNamespace:    namespace,
			DisableNewsFetch:    true,
			HideLogs:            true,
			CORS:                config.CORS{CookieInsecure: true},
		})),
		done: make(chan struct{}),
	}
	go func() {
		defer close(ui.done)
		_ = ui.server.Start() // returns nil on Stop and ends the process otherwise
	}()
	return ui
}

func (ui *webUI) stop() {
	ui.server.Stop()
	<-ui.done
}
