# What one can do from a clone; `make` alone lists it. Go is the only thing to bring
# along: what else a target needs comes from the system's package manager.

SHELL      := /bin/sh
GO         ?= go
tool       := $(GO) tool -modfile=tools/go.mod
go_files   := find . -name '*.go' -not -path './.cache/*' -not -path './.git/*'
# Everything that git would commit, by content: two equal lists mean that nothing changed.
tree_state := git ls-files -co --exclude-standard | sort | while read -r file; do \
	if [ -f "$$file" ]; then echo "$$file $$(git hash-object "$$file")"; fi; done

.DEFAULT_GOAL := help
.PHONY: help demo build test e2e check format vet staticcheck vulncheck modules generated go postgres compiler

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: postgres build ## play the whole story on this machine; leaves nothing behind
	bin/airflow-identity demo

build: go ## build bin/airflow-identity, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/airflow-identity ./cmd/airflow-identity

# More at once than there are cores: most tests wait rather than compute.
test: go postgres compiler ## every test that needs only Go and Postgres, race detector on
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 20m -parallel 6 ./...

# The tests behind the tag, by their names: the tag alone would run all others again.
# One package at a time, since each may start a UAA and Airflows of its own; more tests
# at once than there are cores, since most of their time is a soak.
e2e: go postgres ## the story on a real UAA and real Airflows, installed into .cache
	$(GO) run ./integration/real/install
	@files=$$(grep -rl --include='*_test.go' '^//go:build e2e' integration cmd) && \
	names=$$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(t \*testing\.T).*/\1/p' $$files | paste -sd '|' -) && \
	packages=$$(for file in $$files; do echo "./$${file%/*}"; done | sort -u | tr '\n' ' ') && \
	set -x && $(GO) test -tags e2e -count=1 -v -timeout 30m -p 1 -parallel 4 -run "^($$names)$$" $$packages

check: format vet staticcheck modules generated vulncheck ## format, vet, static analysis, modules, generated files, known vulnerabilities

format: go
	@unformatted=$$($(go_files) -exec gofmt -l {} +); \
	if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w mends it):"; echo "$$unformatted"; exit 1; fi

vet: go
	$(GO) vet ./...
	$(GO) vet -tags e2e ./...

staticcheck: go
	$(tool) staticcheck ./...
	$(tool) staticcheck -tags e2e ./...

modules: go
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff
	$(GO) mod verify

generated: go
	@before=$$($(tree_state)) && $(GO) generate ./... && after=$$($(tree_state)) && \
	if [ "$$before" != "$$after" ]; then echo "go generate changed files: commit what it made"; git status --short; exit 1; fi

vulncheck: go
	@GO=$(GO) tools/vulncheck.sh

# What the targets above stand on.

go:
	@command -v $(GO) >/dev/null || { echo "Go is missing: install 1.26 or later, the rest comes by itself"; exit 1; }

postgres:
	@integration/postgres/ensure.sh

compiler: go
	@tools/compiler.sh "$$($(GO) env CC)"
