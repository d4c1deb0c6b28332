# Holdfast: make targets. `make help` lists them with what they do.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

GO ?= go
# What `make run` hands to `holdfast dev`, e.g. make run ARGS="--data /var/lib/holdfast"
ARGS ?=
# How long each fuzz target runs, and how long the end-to-end tests may take.
FUZZTIME    ?= 20s
E2E_TIMEOUT ?= 20m
# Where git does not trust the folder (it belongs to somebody else), or is not there, the
# build goes without the commit that "holdfast version" shows.
STAMP := $(shell git status --porcelain >/dev/null 2>&1 || echo -buildvcs=false)
# -race needs a C compiler; without one the tests run all the same.
RACE := $(shell command -v gcc >/dev/null 2>&1 && echo -race)

# The end-to-end tests run after all others; bench measures and is no test.
UNIT_PACKAGES = $$($(GO) list ./... | grep -v -e '^holdfast/tests' -e '^holdfast/bench')

DEVSTACK_SOURCES := $(shell find devstack -name '*.go' -not -name '*_test.go') devstack/go.mod devstack/go.sum
# The same settings for build, test and lint, so that its thousand packages are
# compiled once: without cgo, which it doesn't need.
DEVSTACK_GO := CGO_ENABLED=0 GOFLAGS="$${GOFLAGS:-} -trimpath"

say = @if [ -t 1 ]; then printf '\033[1m==> %s\033[0m\n' "$(1)"; else printf '==> %s\n' "$(1)"; fi

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "; print "make target\n"} /^[a-z][a-z0-9-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- Run and build ---------------------------------------------------------

.PHONY: run
run: setup-run build ## Install what is missing, build, and start everything on this machine
	$(call say,Starting Holdfast; Ctrl-C stops it)
	@bin/holdfast dev $(ARGS)

.PHONY: build
build: bin/holdfast devstack ## Build bin/holdfast and bin/holdfast-devstack

.PHONY: bin/holdfast
bin/holdfast:
	$(call say,Building bin/holdfast)
	@scripts/progress.sh $(GO) build -v $(STAMP) -o bin/holdfast ./cmd/holdfast

.PHONY: devstack
devstack: bin/holdfast-devstack ## Build bin/holdfast-devstack (Temporal with its Web UI) when its sources changed

bin/holdfast-devstack: $(DEVSTACK_SOURCES)
	$(call say,Building bin/holdfast-devstack: about 4 minutes on 2 cores the first time)
	@cd devstack && $(DEVSTACK_GO) ../scripts/progress.sh $(GO) build -v $(STAMP) -ldflags "-s -w" -o ../bin/holdfast-devstack ./cmd/holdfast-devstack
	@touch bin/holdfast-devstack

.PHONY: setup-run setup-test
setup-run:
	@scripts/setup.sh run
setup-test:
	@scripts/setup.sh test

# ---- Test ------------------------------------------------------------------

.PHONY: test
test: setup-test build ## Install what is missing, build, and run all tests, the end-to-end tests last
	$(call say,Testing holdfast-devstack)
	@cd devstack && $(DEVSTACK_GO) $(GO) test ./...
	$(call say,Testing the packages $(RACE))
	@$(GO) test $(RACE) -timeout 15m $(UNIT_PACKAGES)
	$(call say,Testing the running system with real phones)
	@$(MAKE) e2e-only

.PHONY: e2e e2e-only
e2e: setup-test build e2e-only ## End-to-end tests only: the running system with real phones
# -v shows each test as it ends; the lines that say it began are left out.
e2e-only:
	@$(GO) test -v -count=1 -p 1 -timeout $(E2E_TIMEOUT) ./tests/... 2>&1 | grep --line-buffered -v -E '^=== (RUN|PAUSE|CONT|NAME)'

.PHONY: race
race: build ## All packages but the end-to-end tests, under the race detector, twice
	@$(GO) test -race -count=2 -timeout 25m $(UNIT_PACKAGES)

.PHONY: replay
replay: ## Replay every recorded history (tests/histories) against this build
	@$(GO) test -v -count=1 ./tests/histories 2>&1 | grep --line-buffered -v -E '^=== (RUN|PAUSE|CONT|NAME)'

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s each)
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## Measure speed and memory; what bench/README.md shows
	@scripts/bench.sh

# ---- Check -----------------------------------------------------------------

.PHONY: check
check: format lint workflowcheck vuln compose-check race ## Format, lint, determinism of workflows, known vulnerabilities, races

.PHONY: format
format:
	$(call say,gofmt)
	@unformatted=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r gofmt -l); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run gofmt -w on:\n%s\n' "$$unformatted"; exit 1; fi

.PHONY: lint
lint: bin/tools/golangci-lint ## golangci-lint on both modules
	$(call say,golangci-lint)
	@bin/tools/golangci-lint run ./...
	@cd devstack && $(DEVSTACK_GO) ../bin/tools/golangci-lint run --config ../.golangci.yml ./...

.PHONY: workflowcheck
workflowcheck: bin/tools/workflowcheck
	$(call say,workflowcheck: workflows must be deterministic)
	@bin/tools/workflowcheck -config .workflowcheck.yml ./workflows/...

.PHONY: vuln
vuln: bin/tools/govulncheck
	$(call say,govulncheck)
	@scripts/vuln.sh

# One build makes all three.
bin/tools/golangci-lint: tools/go.mod tools/go.sum
	$(call say,Building the checkers: about 5 minutes on 2 cores the first time)
	@mkdir -p bin/tools && cd tools && ../scripts/progress.sh $(GO) build -v -trimpath -o ../bin/tools/ tool
	@touch bin/tools/*
bin/tools/workflowcheck bin/tools/govulncheck: bin/tools/golangci-lint

.PHONY: compose-check
compose-check:
	@scripts/compose-check.sh

.PHONY: generate
generate: ## Everything that is generated from the sources
	@$(GO) generate ./...

.PHONY: clean
clean: ## Remove what was built; the data in .holdfast stays
	@rm -rf bin coverage.out
	@find . -name '*.test' -o -name '*.prof' | xargs -r rm -f
