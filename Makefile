# make demo · make test · make lint · make bench · make ui
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: demo test lint bench ui flow

demo: .venv/ready
	@dvc repro
	@fpml register
	@fpml show

test: .venv/ready
	python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: .venv/ready
	ruff check .
	ruff format --check .
	mypy

bench: .venv/ready
	python -m tests.bench

ui: .venv/ready
	@echo "MLflow pages: http://127.0.0.1:5000 (Ctrl-C ends them)"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri sqlite:///mlflow.db \
	  --default-artifact-root ./mlartifacts --host 127.0.0.1 --port 5000 --workers 1

flow: .venv/ready
	python -m flows.pipeline

# The environment: the versions of constraints.txt, which were tried together. A log is kept; errors are shown.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	@test -d .venv || $(PYTHON) -m venv .venv
	@echo "installing into .venv, two to three minutes (log: .venv/install.log) ..."
	@.venv/bin/python -m pip install --disable-pip-version-check --no-input -e '.[dev]' -c constraints.txt \
	  > .venv/install.log 2>&1 || { tail -n 20 .venv/install.log; exit 1; }
	@touch $@
