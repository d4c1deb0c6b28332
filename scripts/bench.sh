#!/usr/bin/env bash
# Runs all measurements: the programs in bench/, then the API and whole calls on the
# running system, then the engines alone. One at a time: they need the machine for
# themselves.
set -euo pipefail

cd "$(dirname "$0")/.."
while read -r package; do
	printf '==> %s\n' "$package"
	go run "$package"
done < <(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./bench/... | sed '/^$/d')
go test -run "^$" -bench Login -benchtime 200x -timeout 60m ./bench/api
go test -run "^$" -bench Requests -benchtime 1500x -timeout 60m ./bench/api
go test -run "^$" -bench Shift -benchtime 500x -timeout 60m ./bench/api
go test -run "^$" -bench "FreeAgent" -benchtime 250x -timeout 60m ./bench/calls
go test -run "^$" -bench "Benchmark[ER]" -benchtime 60x -timeout 60m ./bench/calls
go test -run "^$" -bench Sustained -benchtime 900x -timeout 60m ./bench/calls -rate 15
go test -run '^$' -bench . -benchtime 10s -timeout 10m ./cmd/engines
