GO      ?= go
TOOLS   := $(GO) run ./internal/tools/cmd/tools
MODULES := . otelhelm examples/prometheus examples/fleet e2e e2e/controlplane e2e/temporal bench bench/sdk

# The oldest Go that the library promises.
OLDEST = go$(shell $(GO) list -m -f '{{.GoVersion}}')

# A source tree that git takes for somebody else's builds all the same.
export GOFLAGS += -buildvcs=false

# How much chaos: "make chaos CHAOS_RUNS=20 CHAOS_SEED=1 CHAOS_ONLY=reset". It prints its seed.
CHAOS_RUNS ?= 100
export CHAOS_RUNS

# How many jobs for "make fleet", and the seed of what is random in it; 0 is a random one, which is printed.
FLEET_JOBS ?= 60
FLEET_SEED ?= 0

# A folder of charts for "make charts", from where make runs; ours without it. With CHARTS_APPLY=1 they are planned, and
# the plans applied.
CHARTS ?=

# How long "make fuzz" runs each fuzz test (60s, or 100000x for a number), and how many streams of manifests it makes at
# random. Tests print the seed of these: "make fuzz HELMEXEC_SEED=1" repeats them.
FUZZTIME ?= 60s
CASES    ?= 300000

# Tests run with the race detector where there is the C compiler that it needs.
RACE = $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

# The helm that "make plugin" is for, and the folder that gets the plugin: helm only links to that.
HELM ?= helm
INTO ?= bin

say = @printf '\n== %s\n' '$(1)'

.PHONY: help demo test unit fuzz oldest e2e charts chaos compat bench gobench lint docs picture tools fleet cluster plugin
.NOTPARALLEL:

help: ## Show what make can do
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Install, measure and remove two charts on a local cluster
	@echo 'Building the demo. What it needs is built once, from source.'
	@$(GO) build -o bin/ ./examples/jobrunner
	@cd e2e && $(GO) build -o ../bin/ ./cmd/demo
	@exec bin/demo bin/jobrunner testdata/charts

test: tools lint unit oldest e2e ## Everything that has to pass: lint, unit, oldest, e2e

# The timeouts of go test are for what hangs, on a machine however busy.
unit: ## Unit tests; they need no helm and no cluster
	$(call say,unit tests)
	$(GO) test $(RACE) -timeout=1h ./...
	cd bench && $(GO) test ./...
	cd otelhelm && $(GO) test $(RACE) ./...
	cd examples/prometheus && $(GO) test $(RACE) ./...
	cd examples/fleet && $(GO) test $(RACE) ./...

# Without a limit Go spends up to a minute on shortening each new input, and tries nothing else meanwhile.
fuzz: export HELMEXEC_CASES = $(CASES)
fuzz: ## All fuzz tests one after the other, FUZZTIME each, and CASES streams at random; "make unit" runs some of both
	$(call say,streams made at random)
	GOGC=400 $(GO) test -count=1 -timeout=24h -v -run='^TestHostileStreams$$' ./manifest ./internal/yamlfast
	cd e2e && GOGC=400 $(GO) test -count=1 -timeout=24h -v ./decoding
	$(call say,fuzz tests)
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=100x $$package; \
		done; \
	done

oldest: ## Unit tests of the library with the oldest Go that its go.mod promises
	$(call say,unit tests with $(OLDEST))
	GOTOOLCHAIN=$(OLDEST) $(GO) vet ./...
	GOTOOLCHAIN=$(OLDEST) $(GO) test -timeout=1h ./...
	cd otelhelm && GOTOOLCHAIN=$(OLDEST) $(GO) vet ./...

e2e: ## The same behaviours on real Helm 3 and 4, with a local cluster, repository and registry
	@$(TOOLS) guard helm3 helm4 controlplane kwok registry temporal
	$(call say,end-to-end tests on Helm 3 and 4)
	cd e2e && CHAOS_RUNS=4 exec $(GO) test -count=1 -timeout=1h ./...

charts: ## Install and remove the charts of a folder, CHARTS=folder, and compare what is left with what is reported
	@$(TOOLS) guard helm3 helm4 controlplane kwok
	cd e2e && CHARTS='$(abspath $(CHARTS))' exec $(GO) test -count=1 -timeout=12h -v ./charts

chaos: ## Installs and uninstalls under all kinds of faults, CHAOS_RUNS of each
	@$(TOOLS) guard helm3 helm4 controlplane kwok
	cd e2e && exec $(GO) test -count=1 -timeout=4h -v ./chaos

compat: ## Make every call with many versions of Helm; writes docs/compatibility.md
	@$(TOOLS) guard controlplane kwok registry
	cd e2e && exec $(GO) run ./cmd/compat

bench: ## Measure against the first version and bare helm; writes docs/performance.md and .svg
	@$(TOOLS) helm3 helm4 guard controlplane kwok
	@cd bench/sdk && $(GO) build -o ../../bin/helm-sdk .
	@cd bench && $(GO) run ./cmd/bench -sdk ../bin/helm-sdk -page ../docs/performance.md -image ../docs/performance.svg

gobench: ## Benchmarks of what runs without helm
	$(GO) test -run='^$$' -bench=. -benchmem ./...
	cd bench && $(GO) test -run='^$$' -bench=. -benchmem ./...
	cd otelhelm && $(GO) test -run='^$$' -bench=. -benchmem ./...

# As the tools are built, so that Helm and Kubernetes are not compiled a second time.
lint: export CGO_ENABLED = 0
lint: export GOFLAGS += -trimpath
lint: ## gofmt, vet also for macOS and Windows, staticcheck
	@$(TOOLS) staticcheck
	$(call say,gofmt)
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted; exit 1; fi
	$(call say,go mod tidy and vet)
	@set -e; for module in $(MODULES); do (cd $$module && $(GO) mod tidy -diff && $(GO) vet ./...); done
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(call say,staticcheck)
	@set -e; tool=$$($(TOOLS) -path staticcheck); for module in $(MODULES); do (cd $$module && $$tool ./...); done

docs: ## Write docs/errors.md from the comments of the errors and of the calls
	$(GO) run ./internal/errorpage

picture: ## Take the picture of a plan's page in docs/command.md; it needs Chromium
	$(GO) test -count=1 -run='^TestPageInBrowser$$' ./cmd/helmexec/internal/cli -screenshot='$(CURDIR)/docs/plan-page.png'

tools: ## Build what the tests need, once: Helm 3 and 4, a control plane, a registry, Temporal, a linter
	@$(TOOLS)

fleet: ## Jobs on three hosts that are killed again and again, FLEET_JOBS of them
	@echo 'Building the fleet. What it needs is built once, from source.'
	@$(TOOLS) guard helm4 controlplane kwok temporal
	@cd examples/fleet && $(GO) build -o ../../bin/ .
	@cd e2e && $(GO) build -o ../bin/ ./cmd/fleetrun
	@exec bin/fleetrun -jobs $(FLEET_JOBS) -seed $(FLEET_SEED) bin/fleet testdata/charts

cluster: ## Start a local cluster to play with, until Ctrl-C
	@$(TOOLS) guard controlplane kwok
	@cd e2e && $(GO) build -o ../bin/ ./cmd/cluster
	@exec bin/cluster

plugin: ## Install the command as a plugin of helm, or of HELM=/path/to/helm: helm sut
	@$(GO) build -o '$(INTO)/sut/helm-sut' ./cmd/helmexec
	@cp cmd/helmexec/plugin/plugin.yaml cmd/helmexec/plugin/plugin.complete '$(INTO)/sut/'
	@cmd/helmexec/plugin/install '$(INTO)/sut' '$(HELM)'
