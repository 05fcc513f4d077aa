# Everything runs in .venv, which `setup` makes; a target that needs it makes it first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup lab demo test

help: ## list the targets
	@echo "HyperPrune Lab"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(INSTALLED) ## make .venv with everything in it (a few minutes the first time, then nothing)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) -V 2>&1): make setup PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) -V)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[prune,ui,hub,dev]"
	@touch $@
	@echo "Ready. Try: make demo, make lab, or $(BIN)/hyperprune-lab --help"

lab: setup ## open the notebooks in JupyterLab
	$(BIN)/hyperprune-lab lab

demo: setup ## prune the embedded model with four methods, compare them, leave the records in runs/demo
	@if [ -d runs/demo ]; then echo "Replacing the earlier runs/demo"; rm -rf runs/demo; fi
	$(BIN)/hyperprune-lab compare --model demo --methods magnitude,wanda,sparsegpt,hyperprune \
		--pattern 2:4 --budget quick --out runs/demo

test: setup ## check style and types, run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest
