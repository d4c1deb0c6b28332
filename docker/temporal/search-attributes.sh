#!/bin/bash
# Adds the keywords by which workflows are found to the namespace; those that it
# has already stay. docker-compose.yml runs it once after Temporal is up.
set -euo pipefail

until have=$(temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE"); do
	echo "waiting for namespace $TEMPORAL_NAMESPACE"
	sleep 1
done
for name in CCTenant CCQueue CCAgent CCAgentState CCCallPhase CCDirection; do
	if ! grep -qw "$name" <<<"$have"; then
		temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type Keyword
	fi
done
