#!/usr/bin/env bash
# Runs all measurements: the programs in bench/, then the Go benchmarks there,
# once each, then those of the engines. One at a time: they need the machine for
# themselves.
set -euo pipefail

cd "$(dirname "$0")/.."
while read -r package; do
	printf '==> %s\n' "$package"
	go run "$package"
done < <(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./bench/... | sed '/^$/d')
go test -run '^$' -bench . -benchtime 1x -p 1 -timeout 60m -v ./bench/...
go test -run '^$' -bench . -benchtime 10s -timeout 10m ./cmd/engines
