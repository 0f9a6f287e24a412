# make demo · make test · make lint · make bench · make ui · make docs
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
unexport PYTHONDONTWRITEBYTECODE # with it every process would compile anew what it imports

.NOTPARALLEL:
.PHONY: demo test test-ops lint bench ui docs flow up down wheel

demo: .venv/ready
	@python -m flows.local
	@fpml register

test: .venv/dev
	python -m pytest -n 2 --dist loadgroup --ignore=tests/ops $(ARGS)

# With real servers and a browser on loopback, which it starts and ends: apt-get install postgresql chromium
test-ops: .venv/dev .venv/servers
	python -m pytest tests/ops -n 2 --dist worksteal --timeout 1200 $(ARGS)

lint: .venv/dev
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo

bench: .venv/dev
	python -m tests.bench

# MLflow's pages, from their first moment at the runs (fpml/tracking/front_page.py).
ui: .venv/ready
	@start=$$(python -m fpml.tracking.views) && echo "MLflow's pages: $$start (Ctrl-C ends them)" && \
	  FPML_MLFLOW_START="$$start" MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --app-name fpml \
	  --backend-store-uri sqlite:///mlflow.db --default-artifact-root ./mlartifacts --host 127.0.0.1 --port 5000 --workers 1

# The documentation site, which opens without a server or a network: site/index.html. A broken link is an error; not so with
# --quiet, since warnings that are not shown are not counted.
docs: .venv/docs
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "$(CURDIR)/site/index.html"

# What `pip install` gets: models on a person's pictures, without torch. dist/fingerprint_ml-VERSION-py3-none-any.whl
wheel: .venv/ready
	@rm -rf dist build
	python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls -l dist

flow: .venv/ready
	python -m flows.pipeline

# PostgreSQL, an S3 server, MLflow, Prefect and a worker as plain processes; PORTS=free where the usual ports are taken.
up: .venv/servers
	@python -m infra.local up $(if $(filter free,$(PORTS)),--free-ports)

down: .venv/ready
	@python -m infra.local down

# uv takes half of pip's time. It reads none of pip's settings, so it is told where packages come from (and to weigh
# all indexes alike, as pip does) and whose certificates count: the system's.
of_pip = "$${PIP_$(1):-$$(.venv/bin/python -m pip config get global.$(2) 2> /dev/null | paste -sd ' ' -)}"
install = UV_DEFAULT_INDEX=$(call of_pip,INDEX_URL,index-url) UV_INDEX=$(call of_pip,EXTRA_INDEX_URL,extra-index-url) \
  UV_INDEX_STRATEGY=unsafe-best-match UV_FIND_LINKS=$(call of_pip,FIND_LINKS,find-links) UV_SYSTEM_CERTS=true \
  .venv/bin/uv pip install --python .venv --config-settings editable_mode=compat -c constraints.txt

# The environment: the versions of constraints.txt, which were tried together. A log is kept; errors are shown.
# Bytecode is left to what imports it: most of what is installed is never imported.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.11")'
	@test -d .venv || $(PYTHON) -m venv .venv
	@echo "installing into .venv, about a minute (log: .venv/install.log) ..."
	@{ .venv/bin/python -m pip install --disable-pip-version-check --no-input -c constraints.txt uv && $(install) -e '.[pipeline,try]'; } \
	  > .venv/install.log 2>&1 || { tail -n 20 .venv/install.log; exit 1; }
	@touch $@

.venv/dev: .venv/ready
	@echo "installing what tests and lint need into .venv ..."
	@{ $(install) -e '.[pipeline,try,dev]'; } > .venv/dev.log 2>&1 || { tail -n 20 .venv/dev.log; exit 1; }
	@touch $@

.venv/servers: .venv/ready
	@echo "installing what the servers need into .venv ..."
	@{ $(install) -e '.[pipeline,try,servers,dask]'; } > .venv/servers.log 2>&1 || { tail -n 20 .venv/servers.log; exit 1; }
	@touch $@

.venv/docs: .venv/ready
	@echo "installing what the documentation needs into .venv ..."
	@{ $(install) -e '.[pipeline,docs]'; } > .venv/docs.log 2>&1 || { tail -n 20 .venv/docs.log; exit 1; }
	@touch $@
