// Package web holds the pages that the API serves. For now that is one: what runs
// here and where to go on.
package web

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed index.html
var indexHTML string

var index = template.Must(template.New("index").Parse(indexHTML))

// Index is what the page says of this installation.
type Index struct {
	Version    string
	TemporalUI string // address of the Temporal Web UI; empty hides the link
}

// Handler serves the page. It has no moving parts: it is rendered once.
func Handler(i Index) http.Handler {
	var b bytes.Buffer
	if err := index.Execute(&b, i); err != nil {
		panic("web: the embedded page does not render: " + err.Error())
	}
	page := b.Bytes()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(page) // the client left: nobody to tell
	})
}
