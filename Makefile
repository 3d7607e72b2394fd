# make quickstart   install, build a small synthetic dataset on the CPU, measure what it is worth, say where the pages are
# make test         install what tests need and run them
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/quickstart
# Of the 16 real images a class: 1 to 12 to train on, at most 4 to choose settings on; once and four times as many added.
ARMS := real@1,real@2,real@4,real@8,real@12,synthetic,mixed@1x1,mixed@2x1,mixed@4x1,mixed@8x1,mixed@1x4,mixed@2x4,mixed@4x4
CONTROLS := flip-crop@1x1,flip-crop@2x1,flip-crop@4x1,flip-crop@8x1,flip-crop@1x4,flip-crop@2x4,flip-crop@4x4,more-real@4x1,more-real@2x4

.PHONY: quickstart test lint bench clean

quickstart: $(VENV)/.installed
	$(BIN)/synrs-data build quickstart --out $(OUT)
	$(BIN)/synrs-data eval run eurosat-mini --baseline eurosat-tiny-clip --protocol linear-probe --synthetic $(OUT) \
	  --arms $(ARMS),$(CONTROLS) --seeds 5 --out $(OUT)-eval
	$(BIN)/synrs-data eval compare $(OUT)-eval --out $(OUT)-eval/compare
	@echo "dataset $(OUT), its report $(OUT)/report.html"
	@echo "table   $(OUT)-eval/compare/compare.md"
	@cd $(OUT)-eval/compare && for plot in *.png; do echo "plot    $(OUT)-eval/compare/$$plot"; done

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_build.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "synrs-data needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) out
