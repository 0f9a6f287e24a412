"""What a person meets in MLflow's pages: the experiment's description, and views of its runs that are useful at once.

A view is a tag of the experiment, as the pages' own "Save as new view" writes it (MLflow 3.17)."""

import json
from typing import Any

from fpml.settings.sections import Tracking
from fpml.tracking import runs as tracking

NOTE = "mlflow.note.content"  # the description, in Markdown
VIEW = "mlflow.sharedViewState."
TABLE, CHARTS, PICTURES = "runs", "over-time", "pictures"  # the views' keys, as links name them
TRAININGS = f"tags.`{tracking.RUN_TAG}` LIKE '%'"  # no evaluations, drift and report
COLUMNS = (
    "metrics.`headline`", "metrics.`baseline`", "tags.`verdict`", "tags.`measures`", "tags.`recipe`", "attributes.`Duration`",
    "attributes.`Dataset`",
)  # fmt: skip


def describe(mlflow: Any, settings: Tracking, names: list[str]) -> None:
    """Write the description and the views, where they are not as they should be. names: of the recipes that run."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(settings.experiment)
    wanted = {NOTE: _note(settings, experiment.experiment_id), **_views(names)}
    for key, value in wanted.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)


def start_page(settings: Tracking, experiment_id: str) -> str:
    """Where a person should begin: the table of trainings."""
    return tracking.runs_page(settings, experiment_id, viewStateShareKey=TABLE)


def _note(settings: Tracking, experiment_id: str) -> str:
    def link(words: str, view: str) -> str:
        return f"[{words}]({tracking.runs_page(settings, experiment_id, viewStateShareKey=view)})"

    return "\n\n".join((
        "Trainings of fpml, one run each, named after its recipe in params.yaml.",
        f"**Look at:** {link('the table of runs', TABLE)}, the headline number beside its best baseline's; "
        f"{link('headlines over time', CHARTS)}, a chart for every recipe; {link('pictures side by side', PICTURES)}. "
        "The newest report is the file index.html of the run *report*.",
        "A run holds its settings (parameters), curves (metrics by epoch), data version (datasets used), pictures and model. "
        "Below it, *NAME evaluation* holds every number by sensor, and *NAME drift* how new prints differ.",
        "`headline` and `baseline` are of the metric in the tag `measures`; `verdict` is by the 95 % interval of the difference.",
    ))  # fmt: skip


def _views(names: list[str]) -> dict[str, str]:
    charts = [_chart(name) for name in names]
    images = [_images()]
    return {
        VIEW + TABLE: _view("Runs: headline beside baseline", selectedColumns=list(COLUMNS), columnOrder=list(COLUMNS)),
        VIEW + CHARTS: _view("Headlines over time", **_sections("Headline metric over time", charts)),
        VIEW + PICTURES: _view("Pictures side by side", **_sections("Pictures", images)),
    }


def _view(name: str, **state: Any) -> str:
    """The pages' own form of a view; what it does not name is as the pages have it at first."""
    whole = {
        "searchFilter": TRAININGS, "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs", "runsHiddenMode": "FIRST_20_RUNS",
        **state,
    }  # fmt: skip
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(whole)})


def _sections(title: str, charts: list[dict[str, Any]]) -> dict[str, Any]:
    section = {"uuid": "fpml", "name": title, "display": True, "isReordered": False, "deleted": False, "isGenerated": False}
    return {"compareRunCharts": charts, "compareRunSections": [section], "hideEmptyCharts": True}


def _chart(name: str) -> dict[str, Any]:
    """The headline of every training of a recipe, at the time when it was measured."""
    return {
        "uuid": name, "type": "LINE", "metricSectionId": "fpml", "deleted": False, "isGenerated": False, "displayName": name,
        "runsCountToCompare": 100, "metricKey": f"headline/{name}", "selectedMetricKeys": [f"headline/{name}"],
        "xAxisKey": "time", "useGlobalXaxisKey": False, "displayPoints": True, "lineSmoothness": 0, "scaleType": "linear",
        "xAxisScaleType": "linear", "yAxisKey": "metric", "yAxisExpressions": [], "range": {}, "ignoreOutliers": False,
    }  # fmt: skip


def _images() -> dict[str, Any]:
    return {
        "uuid": "images", "type": "IMAGE", "metricSectionId": "fpml", "deleted": False, "isGenerated": False,
        "runsCountToCompare": 20, "imageKeys": ["first"], "step": 0, "showRunParams": False,
    }  # fmt: skip
