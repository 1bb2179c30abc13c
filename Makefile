# The two commands to start with: `make quickstart` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SPEC ?= specs/quickstart.yaml
SUDO ?= $(if $(filter 0,$(shell id -u)),,sudo)
INSTALLED = $(VENV)/.installed
ONE_THREAD = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1# for each of two processes on two cores
# $(call install,tools,packages): Debian's packages, unless all the tools are there. (A shell's `command -v a b` asks for a alone in dash.)
install = for tool in $(1); do command -v $$tool >/dev/null || missing=1; done; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(2) >/dev/null; }

.PHONY: help quickstart test test-all test-fast lint docs-tables run plan validate baseline diff zoo bench executor-bench search-bench fuzz calibrate calibrate-full verify-graphs profiles proxies setup-rtl setup-qemu setup-checks clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

quickstart: $(INSTALLED)  ## install into .venv, then run specs/quickstart.yaml
	$(BIN)/mico-run specs/quickstart.yaml

test: $(INSTALLED)        ## all tests, lint, import directions and types
	$(BIN)/ruff check mico_runner tests docs setup.py
	$(BIN)/ruff format --check mico_runner tests docs setup.py
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(INSTALLED)   ## the tests that take seconds
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not nightly"

test-all: test            ## and those that take minutes each: random kernel calls by the thousand, large networks
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal -m nightly

lint: $(INSTALLED)        ## format and fix what ruff can
	$(BIN)/ruff format mico_runner tests docs setup.py
	$(BIN)/ruff check --fix mico_runner tests docs setup.py
	$(BIN)/lint-imports
	$(BIN)/mypy

docs-tables: $(INSTALLED) ## write the pages of docs/ that are generated from the code
	$(BIN)/python docs/generate.py

run: $(INSTALLED)         ## run SPEC=...
	$(BIN)/mico-run $(SPEC)

plan: $(INSTALLED)        ## what running SPEC=... would do, and why
	$(BIN)/mico-run plan $(SPEC)

validate: $(INSTALLED)    ## check every shipped spec
	$(BIN)/mico-run validate specs/*.yaml

# The kernels that every processor with AVX2 has: one with wider registers would round otherwise, and train slightly other weights.
SAME_KERNELS = MKL_CBWR=AVX2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell
diff: $(INSTALLED)        ## the quick start against its committed baseline
	$(SAME_KERNELS) $(BIN)/mico-run specs/quickstart.yaml
	$(BIN)/mico-run diff quickstart

baseline: $(INSTALLED)    ## replace the committed baseline by the newest quick start
	$(SAME_KERNELS) $(BIN)/mico-run specs/quickstart.yaml
	$(BIN)/mico-run diff quickstart --save-baseline

profiles: $(INSTALLED)    ## regenerate the BitFusion profile in datasets/ (the host one is measured: see datasets/host)
	$(BIN)/mico-run specs/profile-bitfusion.yaml

proxies: $(INSTALLED)     ## evaluate the latency predictors on the mirror's profiles (needs MICO_DATA_MIRROR)
	for spec in specs/proxy-*.yaml; do $(BIN)/mico-run $$spec || exit; done

calibrate: $(INSTALLED)   ## efficiency curves of this machine, verified on twelve networks
	$(BIN)/mico-run specs/calibrate-host.yaml

calibrate-full: $(INSTALLED)  ## the same with more sizes and repeats: under 20 minutes
	$(BIN)/mico-run specs/calibrate-host.yaml --set calibrate.budget=full

verify-graphs: $(INSTALLED)  ## error of calibrated latencies on measured networks that were left out (needs MICO_DATA_MIRROR)
	$(BIN)/mico-run specs/validate-graphs.yaml

zoo: $(INSTALLED)         ## every network in every form of deployment: docs/results/zoo.md (half an hour; outputs/zoo keeps what is done)
	$(ONE_THREAD) $(BIN)/python docs/zoo.py

bench: $(INSTALLED)       ## speed, each figure beside a peer or a bound
	$(BIN)/python -m tests.bench

search-bench: $(INSTALLED)  ## every search algorithm on networks of which every answer is known (an hour); docs/results/search.md
	$(ONE_THREAD) $(BIN)/python tests/bench/searchers.py

executor-bench: $(INSTALLED)  ## one process against two: a search, a profile on RTL, predictors (needs MICO_DATA_MIRROR and setup-rtl)
	$(BIN)/python tests/bench/executor.py

fuzz: $(INSTALLED)        ## random kernel calls against the reference: on the host under sanitizers, on QEMU, on RTL (half an hour)
	$(BIN)/python -m tests.fuzz

setup-rtl: $(INSTALLED)   ## what RTL simulation needs: verilator, a RISC-V gcc (Debian's packages), the cores' Verilog
	$(call install,verilator riscv64-unknown-elf-gcc g++,verilator gcc-riscv64-unknown-elf g++ make)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[rtl]'

setup-qemu:               ## what QEMU targets need: the emulators, gcc for RISC-V and Arm (Debian's packages)
	$(call install,qemu-system-riscv32 qemu-system-arm riscv64-unknown-elf-gcc arm-none-eabi-gcc,\
		qemu-system-misc qemu-system-arm gcc-riscv64-unknown-elf gcc-arm-none-eabi make)

setup-checks:             ## what some tests need besides: clang, CMake, yosys for the dot-product unit's area, a browser for reports
	$(call install,clang cmake yosys readelf chromium chromedriver,clang cmake yosys binutils libc6-dev-i386 chromium chromium-driver)

clean:           ## remove the environment and caches; outputs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .hypothesis .ruff_cache .import_linter_cache .mypy_cache

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@
