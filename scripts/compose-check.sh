#!/usr/bin/env bash
# Checks docker-compose.yml: by `docker compose config` where that plugin is
# installed, else by the specification's own Go library.
set -euo pipefail

cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then
	docker compose -f docker-compose.yml config -q
	echo "docker compose config: docker-compose.yml is valid"
else
	echo "docker compose is not installed; reading docker-compose.yml with compose-go"
	(cd tools && go run ./composecheck ../docker-compose.yml)
fi
