#!/usr/bin/env bash
# Runs the measurements in bench/: its program if it has one, then its Go
# benchmarks, then those of the engines.
set -euo pipefail

if compgen -G 'bench/*.go' >/dev/null && [ "$(go list -f '{{.Name}}' ./bench)" = main ]; then
	go run ./bench
fi
go test -run '^$' -bench . -benchmem -timeout 60m ./bench/... ./cmd/engines
