# Every target makes its own environment from requirements.lock: nothing needs to be prepared.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

CORE := train stage algorithms nets losses optim sweep store unit

.PHONY: quickstart test test-core lint format table chosen bench accelerators docs report lock

quickstart: $(READY)  ## the whole table on scikit-learn's embedded digits, in about a minute
	$(BIN)/python -m experiments bengio2006 --preset quick

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-core: $(READY)  ## a part of it in two minutes, for another Python: make test-core PYTHON=python3.13 VENV=.venv-3.13
	$(BIN)/python -m pytest -n 2 --dist loadscope $(CORE:%=tests/test_%.py)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check dlx experiments

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

table: $(READY)  ## the table of Bengio et al. 2006 on MNIST: resumable, see README for the hours
	$(BIN)/python -m experiments bengio2006 --preset paper

chosen: $(READY)  ## its ten cells with the trials that the committed results have chosen: no search, 3 seeds
	$(BIN)/python -m experiments bengio2006 --preset paper --search committed --seeds 3 --results runs/chosen \
		--rows "exp?/dbn" "exp?/autoassociator" "exp?/supervised" "exp?/deep" "exp?/shallow"

bench: $(READY)  ## GFLOP/s, memory, scaling: on an idle machine
	$(BIN)/python -m experiments bench

accelerators: $(READY)  ## every program compiled for GPUs and TPUs that are not here: five hours, and several GB
	$(BIN)/python -m experiments accelerators

docs: $(READY)  ## the documentation, in docs/_build: open docs/_build/docs/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . docs/_build

report: $(READY)  ## the pages of all committed results, in experiments/results
	$(BIN)/python -m experiments report

lock:
	uv pip compile pyproject.toml --extra dev --extra docs --universal --no-emit-index-url --no-header --no-annotate -o requirements.lock

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dlx needs Python 3.11 or later: make PYTHON=python3.x ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)
