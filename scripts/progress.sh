#!/usr/bin/env bash
# Runs `go build -v …` and counts the packages as they are compiled, in place of
# a thousand lines; everything else that it says is passed on.
set -euo pipefail

if [ -t 2 ]; then terminal=1; else terminal=0; fi
exec 3> >(awk -v terminal="$terminal" '
	function word() { return n == 1 ? "package" : "packages" }
	/^[A-Za-z0-9.~_\/-]+$/ {
		n++
		if (terminal) printf "    %d %s compiled\r", n, word() > "/dev/stderr"
		else if (n % 200 == 0) printf "    %d %s compiled\n", n, word() > "/dev/stderr"
		fflush()
		next
	}
	{ print > "/dev/stderr"; fflush() }
	END { if (n > 0) printf "    %d %s compiled\n", n, word() > "/dev/stderr" }
')
counter=$!
status=0
"$@" 2>&3 3>&- || status=$?
exec 3>&-
wait "$counter" || true # it has said its last line
exit "$status"
