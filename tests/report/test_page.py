import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from PIL import Image

from fpml.metrics.metric import Metric
from fpml.metrics.standing import BETTER, LEVEL, WORSE, Standing
from fpml.metrics.table import METRICS
from fpml.report.heat import heat_map
from tests.conftest import make_print


class Page(HTMLParser):
    """The page's tags with their attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attributes}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_report_is_one_page_with_nothing_to_load(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    (project / "raw/prints/DB1_B/x_y_z.tif").write_text("<script>alert(1)</script>", encoding="utf-8")
    Image.fromarray(make_print(1)).save(project / "raw/prints/DB1_B/<b>.tif")
    trained("ingest", "prints")
    change_params("tracking.log_images", "all")
    trained("report")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    assert "<b>.tif" not in html
    assert "&lt;b&gt;.tif" in html
    page = Page(html)
    assert page.all("script") == [{}]  # its own, which loads nothing
    assert not page.all("link")
    assert {a["src"].split(":")[0] for a in page.all("img")} == {"data"}
    assert all(f"<figcaption>{of}</figcaption>" in html for of in ("prints, sensor DB1", "prints, sensor DB2"))
    assert "url(" not in html
    assert "@import" not in html
    links = {a["href"] for a in page.all("a")}
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert all(link.startswith(("#", "http://127.0.0.1:5000/#/experiments/")) for link in links)
    assert all("workflowType=machine_learning" in link for link in links if link.startswith("http"))
    run_id = json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["run_id"]
    assert html.count(run_id) > 5


def test_it_opens_with_the_answer(project: Path, trained: Callable[..., Any]) -> None:
    trained("report")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    page = Page(html)
    assert re.findall(r"<h2[^>]*>\s*([\w ×-]+)", html)[:2] == ["The answer", "Sensors × runs"]
    first = html.split('id="heat"')[0]
    assert METRICS["psnr_mask"].label in first
    assert "higher is better" in first
    assert "dvc repro evaluate@reconstruct" in first
    assert re.search(rf'class="chip (?:{BETTER}|{LEVEL}|{WORSE})"', first)
    assert all("open" not in d for d in page.all("details")[1:])  # all but the contents are folded
    assert all(a.get("scope") in ("col", "row") for a in page.all("th"))
    assert all(a.get("alt") for a in page.all("img")[:-1])  # the last waits for a picture to enlarge
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_why_a_run_stays_below_its_baseline_is_said_where_it_does(project: Path, trained: Callable[..., Any]) -> None:
    results = project / "results/reconstruct"
    for table in ("table", "scores"):  # a network that draws nothing
        rows = pd.read_parquet(results / f"{table}.parquet")
        own, column = rows["method"] == "model", "value" if table == "table" else "psnr_mask"
        rows.loc[own, column] -= 50
        rows.to_parquet(results / f"{table}.parquet", index=False)
    facts = json.loads((results / "facts.json").read_text(encoding="utf-8"))
    facts["why"] = "It was never told what a print is."
    (results / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    trained("report")
    first = (project / "report/index.html").read_text(encoding="utf-8").split('id="heat"')[0]
    assert f'class="chip {WORSE}"' in first
    assert facts["why"] in first
    for table in ("table", "scores"):
        rows = pd.read_parquet(results / f"{table}.parquet")
        rows.loc[rows["method"] == "model", "value" if table == "table" else "psnr_mask"] += 100
        rows.to_parquet(results / f"{table}.parquet", index=False)
    trained("report")
    assert facts["why"] not in (project / "report/index.html").read_text(encoding="utf-8")


def test_every_run_has_its_column_and_every_sensor_its_row(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    """One run for each training sensor, beside each other on every sensor."""
    recipe = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["recipes"]["reconstruct"]
    recipe["data"] |= {"train": ["prints/DB1"], "test": ["prints/DB2", "other"]}
    change_params("recipes.on-db1", recipe)
    change_params("run.on-db1", {"task": "reconstruct", "model": "autoencoder"})
    for stage in ("prepare", "split", "train", "evaluate"):
        trained(stage, "on-db1")
    trained("report")
    html = (project / "report/index.html").read_text(encoding="utf-8")
    (heat,) = re.findall(r'<table class="heat">.*?</table>', html, re.S)
    assert re.findall(r'href="#run-([\w-]+)"', heat) == ["reconstruct", "on-db1"]
    assert re.findall(r'<th scope="row">([^<]+)', heat) == ["other", "prints/DB1", "prints/DB2"]
    measured = [
        json.loads((project / "results" / run / "metrics.json").read_text(encoding="utf-8"))["psnr_mask"]
        for run in ("reconstruct", "on-db1")
    ]
    shown = [float(v) for v in re.findall(r">(-?[\d.]+) [▲●▼]</a>", heat)]
    assert shown == [round(m[part], 2) for part in ("other", "prints/DB1", "prints/DB2") for m in measured]
    sides = pd.read_parquet(project / "results/on-db1/table.parquet").set_index("part")["side"]
    assert set(sides["prints/DB2"]) == {"unseen"}
    assert set(sides["prints/DB1"]) == {"validation"}


def test_a_colour_is_the_distance_from_the_baseline_in_its_column() -> None:
    def at(metric: Metric, value: float, baseline: float) -> Standing:
        return Standing("unseen", "", metric, value, 0, 0, "PCA", baseline, BETTER, "", 1, 1)

    psnr, eer = METRICS["psnr"], METRICS["eer"]
    heat = heat_map({"a": {"x": at(psnr, 30, 20), "y": at(psnr, 25, 20)}, "b": {"x": at(eer, 1, 2)}, "c": {}})
    assert heat.parts == ["x", "y"]
    assert heat.columns == {"a": psnr, "b": eer}
    assert {key: cell.strength for key, cell in heat.cells.items()} == {("x", "a"): 1, ("y", "a"): 0.5, ("x", "b"): 1}
