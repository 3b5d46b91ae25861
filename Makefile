# One command each to build, test, lint, measure and run. `make help` lists them. What is needed of the machine is installed by `make deps`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# The version is stamped into every program and names the agent's image, so both have to come from here.
ifndef VERSION
# Asked once: a file edited while make runs would else give programs and image different versions.
VERSION := $(shell tools/version.sh)
endif
export VERSION
# The machine to build for. Not GOARCH: make would hand it to the tools that have to run here, and they would be built for the other machine.
ARCH ?= $(shell go env GOARCH)
ARM ?= 7

BIN := bin
BUILD := build
# grpcnotrace: its tracing is used by nobody, and what it is made with keeps the linker from leaving out methods that are never called.
GOBUILD = CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) GOARM=$(ARM) go build -buildvcs=false -trimpath -tags grpcnotrace -ldflags "-s -w -X main.version=$(VERSION)"
PLATFORM = linux/$(ARCH)$(if $(filter arm,$(ARCH)),/v$(ARM))
# Programs that have to run here, whatever a GOARCH in the environment says.
HOSTGO := env -u GOOS -u GOARCH -u GOARM go
TOOL := $(HOSTGO) tool -modfile=tools/go.mod
UNIT = $$(go list ./... | grep -v '^github.com/edged/edged/tests')

# Which containerd the whole-system tests run on: empty is the machine's own, v2 is the version of the client in go.mod, built here. It is found
# through PATH, where containerd looks for its shim too.
CONTAINERD ?=
ifeq ($(CONTAINERD),v2)
SYSTEM_DEPS := containerd-v2
SYSTEM_PATH := $(CURDIR)/$(BUILD)/containerd-v2:$(PATH)
else ifeq ($(CONTAINERD),)
SYSTEM_PATH := $(PATH)
else
$(error CONTAINERD is empty or v2, not "$(CONTAINERD)")
endif

# Arguments: BENCH is a pattern of benchmarks, BENCHFLAGS more flags, FUZZTIME the time of each fuzz target, RUN a pattern of system tests.
BENCH ?= .
BENCHFLAGS ?=
FUZZTIME ?= 30s
RUN ?= .

.PHONY: help build programs pkcs11 agent-image osgi-host build-failpoints containerd-v2 deps deps-test fmt lint test test-system test-clients test-cockpit test-vm bench soak check run docs clean \
	packages package packages-for-tests test-packages reproducible smoke licenses sbom vulncheck release

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

build: programs pkcs11 agent-image ## build every program and the agent's image into bin/

programs:
	@mkdir -p $(BIN)
	$(GOBUILD) -o $(BIN)/edged ./edged
	$(GOBUILD) -o $(BIN)/edgectl ./edged/edgectl
	$(GOBUILD) -o $(BIN)/edged-logger ./edged/logger
	$(GOBUILD) -o $(BIN)/edged-agent ./edged/agent

# The one program that needs C: it loads the libraries of PKCS#11 tokens. For another machine it takes a compiler for it, named in CC.
pkcs11: ## build bin/edged-pkcs11, which keystores in tokens need
	@mkdir -p $(BIN)
ifeq ($(ARCH)$(CC),$(shell env -u GOARCH go env GOARCH)cc)
	$(subst CGO_ENABLED=0,CGO_ENABLED=1,$(GOBUILD)) -buildmode=pie -o $(BIN)/edged-pkcs11 ./edged/pkcs11
else ifneq ($(CC),cc)
	CC=$(CC) $(subst CGO_ENABLED=0,CGO_ENABLED=1,$(GOBUILD)) -buildmode=pie -o $(BIN)/edged-pkcs11 ./edged/pkcs11
else
	@echo "edged-pkcs11 is not built for $(ARCH): name a compiler for it, make pkcs11 ARCH=$(ARCH) CC=..."
endif

# The user has no name in the image and needs none: the agent owns nothing there.
agent-image: programs
	$(HOSTGO) run -buildvcs=false ./contrib/imagetar -o $(BIN)/edged-agent.tar -ref edged.local/agent:$(VERSION) -platform $(PLATFORM) \
		-entrypoint /edged-agent -user 65532:65532 -file $(BIN)/edged-agent=/edged-agent

# Not part of build: it takes a JDK. The working folder is where the class path and the archive of classes are looked for.
osgi-host: ## build the image of the OSGi host into bin/ (Debian; asks for a JDK 17)
	@mkdir -p $(BIN)
	contrib/setup/deps.sh osgi
	contrib/osgi-host/build.sh $(ARCH) $(BUILD)/osgi-host/$(ARCH)
	$(HOSTGO) run -buildvcs=false ./contrib/imagetar -o $(BIN)/edged-osgi-host.tar -ref edged.local/osgi-host:$(VERSION) -platform $(PLATFORM) -gzip \
		-entrypoint /opt/java/bin/java -entrypoint @java.args -entrypoint -cp -entrypoint agent.jar:lib/eclipse-osgi.jar:lib/osgi.cmpn.jar \
		-entrypoint edged.osgi.Main -workdir /opt/osgi -user 65532:65532 -volume /storage -own /storage=65532:65532 -env JDK_JAVA_OPTIONS=-Xmx32m \
		-dir $(BUILD)/osgi-host/$(ARCH)/image=/
	cp $(BUILD)/osgi-host/$(ARCH)/image/usr/share/doc/debian-packages $(BIN)/edged-osgi-host.packages

build-failpoints: ## build bin/edged-failpoints, which stops or dies at named points (GOFAIL_FAILPOINTS)
	tools/failpoints.sh $(BUILD)/failpoints
	@mkdir -p $(BIN)
	output=$(CURDIR)/$(BIN)/edged-failpoints; cd $(BUILD)/failpoints; $(GOBUILD) -o $$output ./edged

containerd-v2: ## build containerd and its shim, in the version of go.mod, into build/containerd-v2/
	version=$$(go list -m -f '{{.Version}}' github.com/containerd/containerd/v2); \
	CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOBIN=$(CURDIR)/$(BUILD)/containerd-v2 go install \
		github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}@$$version

deps: ## install what building and running needs (Debian, Ubuntu)
	contrib/setup/deps.sh

deps-test: ## install what the tests need besides
	contrib/setup/deps.sh test

docs: ## write man pages and shell completions to build/docs
	$(HOSTGO) run -buildvcs=false -tags docs -ldflags "-X main.version=$(VERSION)" ./edged/edgectl docs $(BUILD)/docs

fmt: ## format the source
	$(TOOL) gofumpt -w $$(go list -f '{{.Dir}}' ./...)

# ---- packages and releases

PACKAGES := $(BUILD)/packages
PROGRAMS := $(BUILD)/programs
PACKAGE_ARCHES ?= amd64 arm64 arm

packages: docs ## deb and rpm for amd64, arm64 and armv7 into build/packages/
	rm -rf $(PACKAGES)
	for arch in $(PACKAGE_ARCHES); do $(MAKE) package ARCH=$$arch WITH_OSGI=1; done

# The commit's time is that of all that goes into a package, the agent's image too.
package: export SOURCE_DATE_EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
# For one machine. What only the machine's own compiler makes goes along where that is there, and the OSGi host with WITH_OSGI.
package: $(BUILD)/docs/third-party
	$(MAKE) programs agent-image BIN=$(PROGRAMS)/$(ARCH)
	if command -v "$(CC)" >/dev/null && [ "$(ARCH)" = "$$($(HOSTGO) env GOARCH)" ]; then $(MAKE) pkcs11 BIN=$(PROGRAMS)/$(ARCH); fi
	if [ -n "$(WITH_OSGI)" ]; then $(MAKE) osgi-host BIN=$(PROGRAMS)/$(ARCH); fi
	PKG_COMPRESSION=$(PKG_COMPRESSION) contrib/packages/build.sh $(ARCH) $(PROGRAMS)/$(ARCH) $(PACKAGES)

# The packages that tests install: this source as a version and as one that is lower than any. Compressed in haste.
PACKAGES_TEST := $(BUILD)/packages-test

packages-for-tests: docs
	rm -rf $(PACKAGES_TEST)
	$(MAKE) package PKG_COMPRESSION=gzip PACKAGES=$(PACKAGES_TEST)/new WITH_OSGI=1
	$(MAKE) package PKG_COMPRESSION=gzip PACKAGES=$(PACKAGES_TEST)/old PROGRAMS=$(BUILD)/programs-old VERSION=0.0.1
	$(TOOL) nfpm package --config tests/systemd/testdata/stub.yaml --packager rpm --target $(PACKAGES_TEST)/stub.rpm

# The same modules are linked into the programs of every machine.
$(BUILD)/docs/third-party: go.mod go.sum tools/licenses/main.go
	$(MAKE) licenses

licenses: build docs ## fail on a dependency that may not be distributed, and gather the texts of all
	cd tools && $(HOSTGO) run ./licenses -o ../$(BUILD)/docs/third-party $(addprefix ../$(BIN)/,edged edgectl edged-agent edged-logger edged-pkcs11)

reproducible: ## build the packages of this machine once more, elsewhere, and compare every byte
	contrib/packages/reproducible.sh $(PACKAGES) $(ARCH)

smoke: ## run the programs of all packages, under emulation where they are another machine's
	contrib/packages/smoke.sh $(PACKAGES) amd64 arm64 armhf

sbom: ## what is linked into each program, as CycloneDX, into build/sbom/
	contrib/packages/sbom.sh $(PROGRAMS)/$(ARCH) $(BUILD)/sbom

# VULNDB names another database than Go's own: a URL or the folder of a copy.
vulncheck: ## look for known vulnerabilities in what edged calls
	contrib/packages/vulncheck.sh $(VULNDB)

# KEY is the releaser's minisign key. Only what has a tag is released.
release: ## make all that a release is made of in build/release/, with its checksums signed with KEY=FILE
	contrib/packages/release.sh check "$(KEY)"
	contrib/setup/deps.sh packages
	$(MAKE) packages reproducible smoke sbom
	contrib/packages/release.sh sign "$(KEY)"

# Its systemd tests need root; the roots of Debian 12 and 13 and of dnf are made once, in /var/cache/edged-test.
test-packages: ## everything about packages: lint, a second build, emulation, and their lives in Debian 12 and 13 and with dnf, as root
	contrib/setup/deps.sh packages
	$(MAKE) packages packages-for-tests reproducible smoke
	contrib/packages/lint.sh $(PACKAGES)
	go test -tags packages -count=1 -timeout 15m -v -run TestPackages ./tests/systemd/

lint: ## look for faults without running anything
	go vet ./...
	GOARCH=arm GOARM=7 go vet ./...
	$(TOOL) golangci-lint run
	for script in $$(find .ci contrib tests tools -name '*.sh') .ci/run; do bash -n "$$script"; done
	go mod tidy -diff
	contrib/osgi-host/lint.sh

# Half of their time they wait, for deadlines and for the disk: -p keeps two processors busy.
test: ## unit tests, with the race detector
	go test -race -p 4 $(UNIT)

# The packages are made for the test that installs them, and not for every other that is run alone.
test-system: build build-failpoints osgi-host $(SYSTEM_DEPS) $(if $(filter .,$(RUN))$(findstring Packages,$(RUN)),packages-for-tests) ## whole-system tests on a real containerd and systemd, as root
	PATH="$(SYSTEM_PATH)" go test -count=1 -p 1 -timeout 15m -run '$(RUN)' ./tests/...

# Not in check: it fetches an SDK that is not edged's. The version is pinned so that a failure is edged's doing.
CLIENTS := $(BUILD)/clients

test-clients: build ## other people's clients, unmodified: installs node by apt and an SDK by npm, as root
	contrib/setup/deps.sh clients
	@mkdir -p $(CLIENTS)
	npm install --prefix $(CLIENTS) --no-save --no-package-lock --no-fund --no-audit --ignore-scripts azure-iot-device@1.18.4
	go test -count=1 -p 1 -timeout 15m -tags clients -run 'Node|Python' ./tests/workload/

# Not in check: a browser is 400 MB. The first run makes a Debian with Cockpit of each release that the page is for.
test-cockpit: build ## the page for Cockpit, in a browser before real Cockpits: installs chromium by apt, as root
	contrib/setup/deps.sh cockpit
	rm -rf $(BUILD)/cockpit
	go test -count=1 -timeout 15m -tags cockpit -run '$(RUN)' ./tests/cockpit/

# Not in check: where KVM starts no kernel a layout takes ten to fifteen minutes. VM_LAYOUTS names layouts of cgroups: v1, hybrid, v2.
VM_LAYOUTS ?= v1 v2

test-vm: build docs ## who is asking, one module, and the package with AppArmor, on Debian 12's own kernel in a virtual machine, with cgroup v1 and v2, as root
	contrib/setup/deps.sh vm
	rm -rf $(BUILD)/vm/packages
	$(MAKE) package PKG_COMPRESSION=gzip PACKAGES=$(BUILD)/vm/packages
	tests/vm/run.sh $(BUILD)/vm/results $(VM_LAYOUTS)

bench: build ## measure
	go test -run '^$$' -timeout 60m -bench '$(BENCH)' $(BENCHFLAGS) ./tests/bench/... ./pkg/...

# 200 crashes in the middle of deployments take half an hour; a failure prints the seed that repeats it.
soak: build ## let every fuzz target run for FUZZTIME, try long histories of the catalog, and crash 200 deployments
	tools/soak.sh $(FUZZTIME)
	go test -count=1 -timeout 90m -run TestAnswersAreThoseOfANaiveModel ./pkg/store/builds/ -rapid.checks=2000
	EDGED_AGENT_ROUNDS=$${EDGED_AGENT_ROUNDS:-200} go test -count=1 -timeout 90m -v -run TestACrashEndsInTheNewOrTheLastGoodDeployment ./tests/agent/

check: ## everything that has to pass: what .ci/run calls
	$(MAKE) deps-test
	$(MAKE) build
	$(MAKE) lint
	$(MAKE) test
	$(MAKE) test-system
	@echo "check: every check passed ($(VERSION))"

run: ## start everything in one folder and show it; Ctrl-C ends it, ONCE=1 ends it by itself
	$(MAKE) deps
	$(MAKE) build
	contrib/run/run.sh

clean: ## remove what was built
	rm -rf $(BIN) $(BUILD)
