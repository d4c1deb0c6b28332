#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the given time.
set -euo pipefail

for_time=${1:-20s}
found=0
while read -r package; do
	while read -r target; do
		found=1
		printf '==> %s %s\n' "$package" "$target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$for_time" "$package"
	done < <(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
done < <(grep -rl --include='*_test.go' --exclude-dir=devstack --exclude-dir=tools '^func Fuzz' . | xargs -r -n1 dirname | sort -u)
if [ "$found" = 0 ]; then echo "there are no fuzz targets"; fi
