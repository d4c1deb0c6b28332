#!/usr/bin/env bash
# Installs what is missing on this machine: `setup.sh run` for make run,
# `setup.sh test` for make test. As root with apt-get it installs; otherwise it
# prints exactly what to install and ends with exit code 2.
set -euo pipefail

cd "$(dirname "$0")/.."
for_what=${1:-run}
packages=()

# need PACKAGE PROGRAM…: the package is missing unless one of the programs, or
# of the files with a full path, is there.
need() {
	local package=$1 program
	shift
	for program in "$@"; do
		if command -v "$program" >/dev/null 2>&1; then return; fi
		if [[ "$program" = /* ]] && [ -e "$program" ]; then return; fi
	done
	packages+=("$package")
}

postgres_programs() {
	printf '%s\n' /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb initdb
	if [ -n "${HOLDFAST_POSTGRES_BIN:-}" ]; then printf '%s\n' "$HOLDFAST_POSTGRES_BIN/initdb"; fi
}

if ! command -v go >/dev/null 2>&1; then
	echo "Go is not installed; Holdfast needs Go 1.26 or newer: https://go.dev/dl" >&2
	exit 2
fi
version=$(go env GOVERSION)
if [[ "$version" =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -lt 26 ] && [ "$(go env GOTOOLCHAIN)" = local ]; then
	echo "$version is too old; Holdfast needs Go 1.26 or newer: https://go.dev/dl" >&2
	exit 2
fi

mapfile -t initdb < <(postgres_programs)
need postgresql "${initdb[@]}"
if [ "$for_what" = test ]; then
	need gcc gcc
	need libc6-dev /usr/include/stdlib.h
	need sip-tester sipp
	need baresip-core baresip
	need sox sox
	need iproute2 ip /usr/sbin/ip /sbin/ip
	# A browser is large; it is needed once a test drives one.
	if grep -rqi --include='*_test.go' chromium tests web 2>/dev/null; then
		need chromium chromium chromium-browser google-chrome google-chrome-stable "${HOLDFAST_CHROMIUM:-chromium}"
	fi
fi

if [ ${#packages[@]} -eq 0 ]; then exit 0; fi

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	{
		echo "Missing on this machine: ${packages[*]} (names of Debian and Ubuntu packages)."
		echo "Install them, e.g.:  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
		echo "Then run make again."
	} >&2
	exit 2
fi

printf '==> Installing %s\n' "${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "${packages[@]}"
