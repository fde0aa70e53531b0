# The ways into this repository. Each target sets up what it needs first: system packages, the virtual
# environment, the native library, models. What is done already is not done again.
#
#   make demo                 compile real models, play real inputs, print what caching saved
#   make test                 C++ tests (plain, address and undefined-behaviour sanitizers, thread sanitizer), fuzz
#                             targets for some seconds each, then pytest
#   make fuzz                 each fuzz target for ten minutes (FUZZ_SECONDS), from where it ended the last time
#   make test-page            the page of actcache report in a headless Chromium, which make test goes without
#   make test-ray             the example of Ray nodes that share a server; Ray takes 250 MB, so make test goes without
#   make conformance          onnx's node tests, random graphs and the catalogue, compiled and held to plain onnxruntime
#   make bench-natural        streams as they are: queries, records, films, pictures, decoding; about a quarter of an hour
#   make bench-triton         Triton's response cache beside a compiled model, in an environment of its own
#   make bench-exports        prefixes of decoders, recurrences and convolutions that PyTorch exports on the spot
#   make conformance-exports  models exported from PyTorch on the spot, in an environment of its own
#   make mutants              break each promise on purpose and see whether a test notices (docs/mutants.md)
#   make torture              fail each file operation of a disk store, kill 2000 of its processes (docs/tiers.md)
#   make apps                 programs that nobody here wrote, plain and under actcache run (docs/apps.md)
#   make apps-suite           a package's own tests, plain and under actcache run
#   make bench                the reuse curve on five models, the README's figures, prefixes: about a quarter of an hour
#   make bench-full           most benchmarks: about 50 minutes. RESUME=1 goes on where either was interrupted
#   make versions             one library and its compiled models under onnxruntime 1.18 to the newest, Python 3.10 to 3.13
#                             those that this machine has; environments in .venv-versions take 6 GB
#   make examples             the text embedders of examples/, in an environment with PyTorch
#   make docs                 the documentation site, in build/site; a link that leads nowhere is an error
#   make wheel                a wheel for any Linux with glibc 2.28 or later, tried in an empty environment
#   make wheel-aarch64        the same for 64-bit Arm: cross-compiled, C++ tests under qemu, the wheel itself never run
#   make check                ruff, mypy, layers of imports and includes, tests that import tests, clang-format, clang-tidy
#   make format               write everything the way that check wants it
#   make library              the native library alone
#   make clean                remove everything that was built; models/cache stays

SHELL := /bin/bash
.DELETE_ON_ERROR:

VENV := .venv
DONE := $(VENV)/.done
PYTHON := $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Tests start thousands of processes that import this package. Without its bytecode each would compile all of it anew.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet
BUILD := $(PYTHON) custom_ops/build.py
WHEEL := $(PIP) wheel --no-deps --no-build-isolation .

# The oldest onnxruntime that is supported has an environment of its own.
OLDEST := .venv-oldest
# So has PyTorch, which nothing else here needs, and the generator of the documentation site.
EXPORTS := .venv-exports
DOCS := .venv-docs
TRITON := .venv-triton

.PHONY: help demo test test-cpp test-asan test-tsan test-fuzz test-python test-page test-ray fuzz conformance conformance-exports
.PHONY: bench-exports bench-natural bench-triton apps apps-wheel apps-suite bench bench-full versions examples docs wheel wheel-aarch64 mutants torture check check-python check-cpp format library clean

help:
	@sed -n 's/^#   //p' Makefile

demo: library $(DONE)/demo
	$(PYTHON) -m benchmarks.demo

test: test-cpp test-asan test-tsan test-fuzz test-python

test-cpp: $(DONE)/test
	$(BUILD) --variant release --tests

test-asan: $(DONE)/test
	$(BUILD) --variant asan --tests

test-tsan: $(DONE)/test
	$(BUILD) --variant tsan --tests

test-fuzz: $(DONE)/test $(DONE)/libfuzzer
	$(BUILD) --variant fuzz --tests

# Each target's corpus is kept between runs; an input that breaks a promise is written to custom_ops/build/fuzz/fuzz.
FUZZ_SECONDS := 600
fuzz: $(DONE)/package $(DONE)/libfuzzer
	$(BUILD) --variant fuzz
	cd custom_ops/build/fuzz/fuzz && for target in *_fuzz; do \
	  ./$$target -max_total_time=$(FUZZ_SECONDS) corpus/$${target%_fuzz} || exit 1; \
	done

# Two processes take little more than half the time of one. Files stay together: their fixtures are compiled once. They
# begin as tests/conftest.py sorts them, slow ones first.
# What is measured decides which regions a model gets, so on a busy machine a test can meet a choice that it does not
# mean: tests that fail run once more, alone. What fails twice has failed.
PYTEST_PROCESSES := 2
test-python: library $(DONE)/test $(OLDEST)/.done
	$(PYTHON) -m models.fetch
	$(PYTHON) -m pytest -q -n $(PYTEST_PROCESSES) --dist loadfile --no-loadscope-reorder || \
	  $(PYTHON) -m pytest -q --last-failed --last-failed-no-failures none

# Chromium takes 400 MB, so it is no part of `make test`, where these tests are skipped if there is none.
test-page: library $(DONE)/browser $(DONE)/chromium
	$(PYTHON) -m pytest -q tests/unit/test_report_browser.py

test-ray: library $(DONE)/ray
	$(PYTHON) -m pytest -q tests/end_to_end/test_ray_nodes.py

conformance: library $(DONE)/test
	$(PYTHON) -m models.fetch
	$(PYTHON) -m tests.conformance

conformance-exports: library $(EXPORTS)/.done
	$(EXPORTS)/bin/python -m tests.exports
	$(EXPORTS)/bin/python -m tests.exports.sequences
	$(EXPORTS)/bin/python -m tests.exports.merged

# Decoders, recurrences and convolutions that PyTorch exports on the spot, with and without prefixes.
bench-exports: library $(EXPORTS)/.done
	$(EXPORTS)/bin/python -m benchmarks.prefix_exports

# MUTANTS: names of groups; MUTANTS_EACH: so many of each Python function, 0 for all.
MUTANTS :=
MUTANTS_EACH := 10
mutants: library $(DONE)/test $(DONE)/dev
	$(PYTHON) -m tests.mutants --write --each $(MUTANTS_EACH) $(MUTANTS)

# KILLS: how many processes are killed; OPERATIONS: so many calls of four processes while du is watched.
KILLS := 2000
OPERATIONS := 1000000
torture: test-cpp
	$(PYTHON) -m tests.force --kills $(KILLS) --operations $(OPERATIONS)

# What the programs of the next three targets get: the wheel that is given away.
apps-wheel: $(DONE)/package
	rm -rf build/wheels
	ACTCACHE_WHEEL=portable $(WHEEL) --wheel-dir build/wheels

# Each program gets an environment of its own in .venv-apps; APPS: names of programs, all if it is empty. APPS_CORES=0
# APPS_LEARN_ON=1 keeps the programs to one core, and leaves the other to the compiling process, with results of its own.
# APPS_REPEATS: plain and first runs of each, in turn. APPS_NICE: what the compiling process steps back by; below 19 it does
# not wait for its moment either.
APPS :=
APPS_NICE := 19
APPS_CORES :=
APPS_REPEATS := 1
APPS_LEARN_ON :=
APPS_RESULTS = benchmarks/results/apps$(if $(APPS_CORES),_idle_core).json
apps: apps-wheel
	code=0; $(PYTHON) -m tests.apps --wheel build/wheels/actcache-*.whl --nice $(APPS_NICE) --repeats $(APPS_REPEATS) \
	  $(if $(APPS_CORES),--cores $(APPS_CORES)) $(if $(APPS_LEARN_ON),--learn-on $(APPS_LEARN_ON)) $(APPS) \
	  $(if $(APPS),,--json $(APPS_RESULTS)) || code=$$?; $(PYTHON) -m benchmarks.render --tables && exit $$code

# Tests of a package, each of which has to end as it does without actcache. SUITE: files of tests, all if it is empty.
SUITE :=
apps-suite: apps-wheel
	$(PYTHON) -m tests.apps.suites --wheel build/wheels/actcache-*.whl $(SUITE)

# examples/10_text_embedders, in an environment with PyTorch.
examples: apps-wheel
	$(PYTHON) -m tests.apps.examples --wheel build/wheels/actcache-*.whl

# One benchmark after the other (benchmarks/suite.py lists them), results in benchmarks/results, then the tables and figures
# of the documentation. A bar that is missed is told at the end; what was measured is kept.
SUITE_OPTIONS := $(if $(RESUME),--resume)
bench: library $(DONE)/bench
	$(PYTHON) -m models.fetch
	code=0; $(PYTHON) -m benchmarks.suite $(SUITE_OPTIONS) || code=$$?; $(PYTHON) -m benchmarks.render && exit $$code

bench-full: library $(DONE)/bench $(DONE)/benchmark
	$(PYTHON) -m models.fetch
	code=0; $(PYTHON) -m benchmarks.suite --full $(SUITE_OPTIONS) || code=$$?; $(PYTHON) -m benchmarks.render && exit $$code

# One part of bench-full. NATURAL: names of workloads, all if it is empty.
NATURAL :=
bench-natural: library $(DONE)/bench
	code=0; $(PYTHON) -m benchmarks.natural $(NATURAL) --json benchmarks/results/natural.json $(SUITE_OPTIONS) || code=$$?; \
	  $(PYTHON) -m benchmarks.render && exit $$code

# nvidia-pytriton runs on Debian's own Python.
bench-triton: library $(DONE)/bench $(TRITON)/.done
	$(PYTHON) -m benchmarks.triton --python $(TRITON)/bin/python --json benchmarks/results/triton.json
	$(PYTHON) -m benchmarks.render --tables

# Environments are kept, but for what is called the newest, which is brought up to date.
versions: library $(DONE)/demo
	code=0; $(PYTHON) -m scripts.versions --json benchmarks/results/versions.json || code=$$?; \
	  $(PYTHON) -m benchmarks.render --tables && exit $$code

docs: $(DONE)/package $(DOCS)/.done
	$(PYTHON) -m scripts.docs_site build/docs
	$(DOCS)/bin/zensical build --strict --clean

# It takes what the release build compiled, and links it anew.
wheel: $(DONE)/release
	rm -f dist/actcache-*_$(shell uname -m).whl
	ACTCACHE_WHEEL=portable $(WHEEL) --wheel-dir dist
	$(PYTHON) scripts/check_release.py dist/actcache-*-manylinux_2_28_$(shell uname -m).whl
	scripts/check_wheel.sh $(PYTHON) dist/actcache-*-manylinux_2_28_$(shell uname -m).whl

# By a cross compiler. The C++ tests run under qemu; the wheel itself is not run: there is no such machine here.
wheel-aarch64: $(DONE)/release $(DONE)/aarch64
	rm -f dist/actcache-*_aarch64.whl
	$(BUILD) --variant aarch64 --tests
	ACTCACHE_WHEEL=aarch64 $(WHEEL) --wheel-dir dist
	$(PYTHON) scripts/check_release.py dist/actcache-*-manylinux_2_28_aarch64.whl

check: check-python check-cpp

check-python: $(DONE)/dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) scripts/check_layers.py
	$(PYTHON) scripts/check_test_imports.py

check-cpp: $(DONE)/dev
	scripts/check_cpp.sh $(VENV)

format: $(DONE)/dev
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format
	find custom_ops/{bench,fuzz,include,src,tests} examples -name '*.cc' -o -name '*.h' | xargs $(VENV)/bin/clang-format -i

library: $(DONE)/package
	$(BUILD) --variant release

clean:
	rm -rf build dist custom_ops/build actcache/_native $(VENV) $(OLDEST) $(EXPORTS) $(DOCS) $(TRITON) .venv-apps .venv-versions
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- environments ----------------------------------------------------------------------------------

$(DONE)/venv: scripts/bootstrap.sh
	scripts/bootstrap.sh $(VENV)
	$(PIP) install --upgrade pip
	@mkdir -p $(@D) && touch $@

$(DONE)/libfuzzer: | $(DONE)/venv
	scripts/bootstrap.sh $(VENV) libfuzzer
	@touch $@

$(DONE)/chromium: | $(DONE)/venv
	scripts/bootstrap.sh $(VENV) chromium
	@touch $@

$(DONE)/benchmark: | $(DONE)/venv
	scripts/bootstrap.sh $(VENV) benchmark
	@touch $@

$(DONE)/aarch64: | $(DONE)/venv
	scripts/bootstrap.sh $(VENV) aarch64
	@touch $@

# What pyproject.toml asks of a build, installed here: pip would fetch it anew for every editable install.
$(DONE)/build-tools: $(DONE)/venv
	$(PIP) install 'hatchling>=1.28' 'cmake>=3.22,<5' 'ninja>=1.11'
	@touch $@

$(DONE)/package: $(DONE)/build-tools pyproject.toml hatch_build.py
	$(PIP) install --no-build-isolation --editable .
	@touch $@

$(DONE)/demo $(DONE)/bench $(DONE)/test $(DONE)/browser $(DONE)/ray $(DONE)/release $(DONE)/dev: $(DONE)/package
	$(PIP) install --no-build-isolation --editable '.[$(@F)]'
	@touch $@

$(OLDEST)/.done: scripts/oldest_onnxruntime.sh | $(DONE)/venv
	scripts/oldest_onnxruntime.sh $(PYTHON) $(OLDEST)
	@touch $@

$(TRITON)/.done: Makefile | $(DONE)/venv
	/usr/bin/python3 -m venv $(TRITON)
	$(TRITON)/bin/pip --disable-pip-version-check --quiet install nvidia-pytriton==0.7.0 onnxruntime==1.32.0
	@touch $@

$(EXPORTS)/.done: scripts/exports_environment.sh | $(DONE)/venv
	scripts/exports_environment.sh $(PYTHON) $(EXPORTS)
	@touch $@

# Pinned: a later version may find other faults. It needs Python 3.11.
$(DOCS)/.done: Makefile | $(DONE)/venv
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip --disable-pip-version-check --quiet install zensical==0.0.73
	@touch $@
