# On a fresh machine: `make demo` and `make test`. Everything is written to .venv/ and build/.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; \
	then echo $$p; break; fi; done)
BIN := .venv/bin
DEMO := build/demo
EGGSEG_DATA ?= ../shared/data/eggs-and-pans
export EGGSEG_DATA

.PHONY: help demo test test-full test-gpu coverage lint docs notebooks bench lock clean

# The versions of constraints.txt are those that the tests ran with; setup.cfg says which others may do.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | while IFS=$$'\t' read -r name what; \
		do printf '  make %-10s %s\n' "$$name" "$$what"; done

# --- the environment ------------------------------------------------------------------------------------------------

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "error: found no Python 3.11 or 3.12 with venv: apt install python3-venv" >&2; exit 2; fi
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip uv

.venv/installed: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) --editable '.[test]'
	@touch $@

.venv/installed-docs: .venv/installed
	$(INSTALL) --editable '.[docs]'
	@touch $@

# Both Pythons get the same versions where both have wheels of them. Without eggseg installed, since a bound of setup.cfg
# may just have moved past its pin.
lock: | .venv/bin/python  ## the newest versions that setup.cfg allows, for Python 3.11 and 3.12, into constraints.txt
	$(BIN)/uv pip compile setup.cfg --extra test --extra docs --extra notebooks --extra lock --quiet --upgrade \
		--universal --python-version 3.11 --fork-strategy fewest --strip-extras --no-annotate \
		--custom-compile-command 'make lock' --output-file constraints.txt

# --- the demonstration: a step runs again only if an earlier one did -------------------------------------------------

demo: $(DEMO)/evaluation/metrics.json $(DEMO)/predictions/summary.csv  ## draw scenes, train, predict and evaluate, in minutes
	@echo
	@grep -h '"miou":' $(DEMO)/run/metrics.json | head -n 1 | tr -d ' ",' | sed 's/:/ on the validation scenes: /'
	@echo
	@echo "scenes, and their masks    $(DEMO)/scenes"
	@echo "the trained model          $(DEMO)/run/saved_model/1"
	@echo "photo, truth, prediction   $(DEMO)/run/samples.png     <- look at this one"
	@echo "masks of new scenes        $(DEMO)/predictions/masks, and drawn over them in overlays"
	@echo "figures of new scenes      $(DEMO)/evaluation/metrics.json, and the worst in worst.png"
	@echo
	@echo "Next, with your own photos in DATA/images and their masks in DATA/masks:"
	@echo "  $(BIN)/eggseg train --data_dir DATA --output_dir run"
	@echo "  $(BIN)/eggseg predict PHOTOS --model run --output_dir masks --overlay"

$(DEMO)/scenes.done: | .venv/installed
	$(BIN)/python -m eggseg.synthetic $(DEMO)/scenes --count 400 --seed 2 --run_length 1
	@touch $@

$(DEMO)/new.done: | .venv/installed
	$(BIN)/python -m eggseg.synthetic $(DEMO)/new --count 40 --seed 1 --run_length 1
	@touch $@

$(DEMO)/run/metrics.json: $(DEMO)/scenes.done
	$(BIN)/python -m eggseg.train --data_dir $(DEMO)/scenes --output_dir $(DEMO)/run --resume \
		--image_size 192 --augment 0.3 --scene_share 0 --minutes 7

$(DEMO)/predictions/summary.csv: $(DEMO)/run/metrics.json $(DEMO)/new.done
	$(BIN)/python -m eggseg.predict $(DEMO)/new/images --model $(DEMO)/run --output_dir $(DEMO)/predictions \
		--overlay --objects --overwrite

$(DEMO)/evaluation/metrics.json: $(DEMO)/run/metrics.json $(DEMO)/new.done
	$(BIN)/python -m eggseg.evaluate --model $(DEMO)/run --data_dir $(DEMO)/new --output_dir $(DEMO)/evaluation

# --- checks -----------------------------------------------------------------------------------------------------------

lint: .venv/installed-test  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

UNIT_TESTS := $(BIN)/python -m pytest -m "not full and not real" -n 2 --dist loadfile

test: lint  ## style, types, and the tests that need only this checkout
	$(UNIT_TESTS)
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 notebooks

test-full: .venv/installed-test  ## slow tests, and those with several processes or the real photos at EGGSEG_DATA
	$(BIN)/python -m pytest -m "full or real"

test-gpu: .venv/installed-test  ## the tests that need a GPU
	$(INSTALL) --editable '.[gpu]'
	$(BIN)/python -m pytest -m gpu

coverage: .venv/installed-test  ## line and branch coverage of the tests of `make test` (tracing adds a third to their time)
	$(BIN)/coverage erase
	$(UNIT_TESTS) --cov --cov-report=term

docs: .venv/installed-docs  ## the docs as a site in build/site; a warning, such as a broken link, is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks: .venv/installed  ## open the tutorial notebooks in JupyterLab
	$(INSTALL) --editable '.[notebooks]'
	cd notebooks && ../$(BIN)/jupyter lab

bench: .venv/installed  ## measure speed, on an idle machine, into benchmarks/README.md
	@# Libraries that cannot be installed are left out of the tables.
	-$(INSTALL) --requirement benchmarks/requirements.txt
	@mkdir -p build
	@{ printf '# How fast it is\n\nWritten by `make bench`. '; $(BIN)/python benchmarks/machine.py; \
		for name in predict_speed train_speed depthwise_speed data_speed worker_speed; do \
			printf '\n## `python benchmarks/%s.py`\n\n' $$name; \
			TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python benchmarks/$$name.py; \
		done; } > build/bench.md
	mv build/bench.md benchmarks/README.md

clean:  ## remove build/; keep the environment
	rm -rf build
