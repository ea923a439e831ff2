# make run    install once, run the demo, say where the report is
# make test   install once with the test tools, run all tests
# make test-long  half an hour: runs that are killed again and again, and other machines
# make lint   formatting, style, types, workflow
# make evaluate   hours: what biocross finds in simulated studies, beside the truth, into docs/validation.md
# make bench  eight minutes: time and memory beside other programs, and how they grow, into results/benchmarks
# CONFIG=config/examples/bcr_xl/config.yaml make run   runs another configuration
PYTHON ?= python3
CORES ?= all
CONFIG ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes -r

.PHONY: run test test-long lint bench evaluate lock clean
.DELETE_ON_ERROR:

run: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG))

test: $(VENV)/installed-dev
	$(BIN)/pytest -n auto -m "not long"

test-long: $(VENV)/installed-dev
	$(BIN)/pytest -m long

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	@# One locked environment serves all rules: the lint for an environment per rule is set aside.
	! $(BIN)/snakemake --lint 2>&1 | grep '^    \* ' | grep -v 'Specify a conda environment or container'

bench: $(VENV)/installed-dev
	$(BIN)/python tests/benchmarks/run.py

# Simulated studies with known truth, as tables and from FCS files on; each script rewrites its
# numbers in docs/validation.md. Studies that were run before are kept in results/validation/.
evaluate: $(VENV)/installed-dev
	$(BIN)/python tests/validation/validate.py --write
	$(BIN)/python tests/validation/planned_power.py --write
	$(BIN)/python tests/validation/whole_studies.py --write
	$(BIN)/python tests/validation/variants.py --write
	$(BIN)/python tests/validation/gated_cohorts.py --write
	$(BIN)/python tests/validation/clustered_cohorts.py --write

# A virtual environment is valid while its stamp is newer than the lock it was made from.
$(VENV)/installed: requirements.lock pyproject.toml
	$(call make_venv,requirements.lock)
	touch $@

$(VENV)/installed-dev: requirements-dev.lock pyproject.toml
	$(call make_venv,requirements-dev.lock)
	touch $(VENV)/installed $@

define make_venv
	@$(PYTHON) -c 'import sys; sys.exit("biocross needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.11" if not (3, 11) <= sys.version_info < (3, 14) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(1) into $(VENV); this takes a few minutes, once."
	@$(INSTALL) $(1)
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
endef

# Remake the locks from pyproject.toml; needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .snakemake .pytest_cache .mypy_cache .ruff_cache
