"""Links to MLflow's pages, as a person's browser reaches them."""

import os
from typing import Any
from urllib.parse import quote

from fpml.settings.sections import Tracking
from fpml.tracking.runs import RUN_TAG, public, store_uri

UI = "http://127.0.0.1:5000"  # where `make ui` serves the MLflow pages
WORKFLOW = "workflowType=machine_learning"  # without it MLflow's pages open where traces of language models are shown


def pages(settings: Tracking) -> str:
    """Where MLflow's pages are: where $FPML_MLFLOW_PAGES says (a worker may know the server by another name than browsers do),
    at the store's own address, or where `make ui` serves them."""
    if told := os.environ.get("FPML_MLFLOW_PAGES"):
        return told.rstrip("/")
    uri = store_uri(settings)
    return public(uri).rstrip("/") if uri.startswith("http") else UI


def page(settings: Tracking, run: Any, tab: str = "") -> str:
    """The page of one of MLflow's runs, or a tab of it."""
    place = f"/runs/{run.info.run_id}{tab and '/'}{tab}"
    return f"{pages(settings)}/#/experiments/{run.info.experiment_id}{place}?{WORKFLOW}"


def runs_page(settings: Tracking, experiment_id: str, **query: str) -> str:
    """The table of an experiment's runs; query: what MLflow's page takes, such as searchFilter."""
    more = "".join(f"&{key}={quote(value)}" for key, value in query.items())
    return f"{pages(settings)}/#/experiments/{experiment_id}/runs?{WORKFLOW}{more}"


def search_page(settings: Tracking, experiment_id: str, run: str) -> str:
    """Where the table shows one run: by its tag, which a run that was rebuilt from files keeps."""
    return runs_page(settings, experiment_id, searchFilter=f"tags.`{RUN_TAG}` = '{run}'")
