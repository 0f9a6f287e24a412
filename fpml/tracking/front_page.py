"""MLflow's own pages with another beginning: what `mlflow ui --app-name fpml` serves.

Which view opens first, an assistant's panel that opens by itself and a notice on telemetry (which is off) are settings that
MLflow's pages keep in the browser; no option of the server sets them (3.17). So the first page states them, where a browser
has none of its own yet, and leads to the runs. All else is MLflow's."""

import json
import os
from pathlib import Path

import mlflow.server
from flask import Response
from mlflow.server.fastapi_app import app

__all__ = ["app"]
START = "FPML_MLFLOW_START"  # the address where a person should begin
AT_FIRST = {  # as the pages keep them in localStorage: key_vVERSION, the value as JSON
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
}


def first_page() -> Response:
    html = (Path(str(mlflow.server.app.static_folder)) / "index.html").read_text(encoding="utf-8")
    hash_ = os.environ.get(START, "").partition("#")[2]
    script = (
        f"for (const [key, value] of Object.entries({json.dumps(AT_FIRST)}))"
        " if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));"
        f" if (!location.hash && {json.dumps(hash_)}) location.hash = {json.dumps(hash_)};"
    )
    script = script.replace("<", "\\u003c")  # nothing in it ends it
    return Response(html.replace("<head>", f"<head><script>{script}</script>", 1), headers={"Cache-Control": "no-cache"})


mlflow.server.app.view_functions["serve"] = first_page
