# Everything runs in .venv, which is made on first use from requirements*.txt and constraints.txt.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: demo test check format bench clean reliability

demo: $(READY)  ## the main job on generated slides: tiles, training, masks, report
	$(PYTHON) -m apps.demo

test: $(READY)  ## every test
	$(PYTHON) -m pytest

check: $(READY)  ## lint, types and quick tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy .
	$(PYTHON) -m pytest -m "not slow" -q

format: $(READY)  ## put the code into one form
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

$(READY): $(wildcard requirements*.txt) constraints.txt
	python3 -m venv $(VENV) || { apt-get update && apt-get install --yes python3-venv && python3 -m venv $(VENV); }
	$(PYTHON) -m pip install --quiet --requirement requirements.txt --requirement requirements-dev.txt --constraint constraints.txt
	touch $(READY)

bench: $(READY)  ## time and memory against their floors and against others; ends with one line a figure, 40 minutes
	$(PYTHON) -m benchmarks.all

clean:  ## remove runs and caches, keep .venv
	rm -rf output .pytest_cache .ruff_cache .mypy_cache

reliability: $(READY)  ## every bad input and fault of tests/reliability, as a table
	$(PYTHON) -m tests.reliability
