"""What a person meets in MLflow's pages: the experiment's description, and views of its runs that are useful at once.
`python -m fpml.tracking.views` writes them and says where to begin.

A view is a tag of the experiment, as the pages' own "Save as new view" writes it (MLflow 3.17)."""

import json
import sys
from typing import Any

from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.project.params import load
from fpml.settings.sections import Tracking
from fpml.tracking import links
from fpml.tracking import runs as tracking

NOTE = "mlflow.note.content"  # the description, in Markdown
VIEW = "mlflow.sharedViewState."
FIRST = "example"  # the key of a run's first picture, by which runs of all recipes stand side by side
TABLE, CHARTS, PICTURES = "runs", "over-time", "pictures"  # the views' keys, as links name them
WIDTHS = {"tags.`measures`": 210, "attributes.`Dataset`": 190}  # pixels
TRAININGS = f"tags.`{tracking.RUN_TAG}` LIKE '%'"  # no evaluations, drift and report
COLUMNS = (
    "metrics.`headline`", "metrics.`baseline`", "tags.`verdict`", "tags.`measures`", "attributes.`Duration`",
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
    return _page(settings, experiment_id, TABLE)


def _page(settings: Tracking, experiment_id: str, view: str) -> str:
    mode = "TABLE" if view == TABLE else "CHART"
    return links.runs_page(settings, experiment_id, compareRunsMode=mode, viewStateShareKey=view)


def _note(settings: Tracking, experiment_id: str) -> str:
    def link(words: str, view: str) -> str:
        return f"[{words}]({_page(settings, experiment_id, view)})"

    return "\n\n".join((
        # The first line is all that the pages show before the description is unfolded.
        f"{link('The table of runs', TABLE)} · {link('headlines over time', CHARTS)} · "
        f"{link('pictures side by side', PICTURES)} · trainings of fpml, a run each, named after its recipe in params.yaml",
        "In the table, `headline` and `baseline` are of the metric in `measures`; `verdict` by the 95 % interval of their gap.",
        "A run holds its settings (parameters), curves (metrics by epoch), data version (datasets used), pictures and model. "
        "Below it, *NAME evaluation* holds every number by sensor, and *NAME drift* how new prints differ.",
        "The newest report is the file index.html of the run *report*.",
    ))  # fmt: skip


def _views(names: list[str]) -> dict[str, str]:
    charts = [_chart(name) for name in names]
    images = [_images()]
    return {
        VIEW + TABLE: _view(
            "Runs: headline beside baseline",
            selectedColumns=list(COLUMNS),
            columnOrder=list(COLUMNS),
            columnWidths=WIDTHS,
        ),
        VIEW + CHARTS: _view("Headlines over time", **_section("Headline metric over time", charts)),
        VIEW + PICTURES: _view(
            "Pictures side by side", **_section("The first picture of each run", images, columns=1, cardHeight=640)
        ),
    }


def _view(name: str, **state: Any) -> str:
    """The pages' own form of a view; what it does not name is as the pages have it at first."""
    whole = {
        "searchFilter": TRAININGS, "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs", "runsHiddenMode": "FIRST_20_RUNS",
        **state,
    }  # fmt: skip
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(whole)})


def _section(title: str, charts: list[dict[str, Any]], **shape: int) -> dict[str, Any]:
    """Charts under one title, above those that the pages make by themselves."""
    section = {
        "uuid": "fpml", "name": title, "display": True, "isReordered": False, "deleted": False, "isGenerated": False, **shape,
    }  # fmt: skip
    return {"compareRunCharts": charts, "compareRunSections": [section], "isAccordionReordered": True}


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
        "runsCountToCompare": 20, "imageKeys": [FIRST], "step": 0, "showRunParams": False,
    }  # fmt: skip


def main() -> int:
    params = load(root() / "params.yaml")
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        return 2
    describe(mlflow, params.tracking, list(params.run))
    print(start_page(params.tracking, mlflow.MlflowClient().get_experiment_by_name(params.tracking.experiment).experiment_id))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FpmlError as error:
        sys.exit(f"fpml: {error}")
