"""What the buttons answer: the same as the commands, with the model, its threshold and the time beside it."""

import base64
import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import fpml
from fpml.inference.compare import compared
from fpml.inference.gallery import threshold_of
from fpml.matching import formats
from fpml.synth.truth import Truth
from fpml.tryout.models import Models
from fpml.tryout.pictures import EXAMPLES, example, examples
from tests.tryout.conftest import Page

MODEL = "minutiae-1"


def picture_of(address: str) -> np.ndarray:
    head, _, content = address.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_compare_says_what_verify_says(page: Page) -> None:
    page.example("first", "a-1.png")
    page.example("second", "a-3.png")
    answer = page.ask("compare", model=MODEL, dpi=500, second_dpi=500).json()
    model = fpml.load(MODEL)
    a, b = model.minutiae([fpml.read(EXAMPLES / "a-1.png"), fpml.read(EXAMPLES / "a-3.png")])
    match = compared(a.template, b.template)
    assert answer["score"] == pytest.approx(match.score)
    assert answer["pairs"] == match.pairs.tolist()
    assert [len(p["minutiae"]) for p in answer["prints"]] == [len(a.template), len(b.template)]
    assert (answer["same"], answer["verdict"]) == (True, "the same finger")
    assert answer["threshold"] == str(threshold_of(model))
    assert "about one in 1,000 reached" in answer["in_words"]
    assert answer["model"]["name"] == MODEL
    assert answer["model"]["version"] == f"version 1, SHA-256 {model.sha256[:12]}"
    assert answer["model"]["trained_on"].startswith("generated prints only")
    assert answer["ms"] >= 0

    page.example("second", "b-1.png")
    other = page.ask("compare", model=MODEL, dpi=500, second_dpi=None).json()
    assert (other["same"], other["verdict"]) == (False, "not the same finger")
    assert "estimated by its ridges" in other["prints"][1]["said"]


def test_compare_by_embeddings_draws_nothing(page: Page) -> None:
    page.example("first", "a-1.png")
    page.example("second", "a-1.png")
    answer = page.ask("compare", model="recognise", dpi=500, second_dpi=500).json()
    assert answer["prints"] == []
    assert answer["score"] == pytest.approx(1, abs=1e-5)
    assert answer["same"]
    assert "need the dpi" in page.ask("compare", model="recognise", dpi=500).json()["error"]


def test_bad_questions_get_one_line(page: Page) -> None:
    assert page.ask("compare", model=MODEL).json()["error"].startswith("the first print is missing")
    page.example("first", "a-1.png")
    page.example("second", "c-180dpi.png")
    assert "dpi is 3.0; allowed: 50 to 5000" in page.ask("compare", model=MODEL, dpi=3).json()["error"]
    wrong = page.ask("compare", model=MODEL, dpi=500, second_dpi=4000).json()["error"]
    assert wrong.startswith("c-180dpi.png: ")
    assert "minutiae, and at least 4 are needed" in wrong
    assert "no example" in page.ask("example/first", file="../app.py").json()["error"]


def test_who_is_it(page: Page) -> None:
    assert "nobody is enrolled" not in page.ask("identify", model=MODEL).json()["error"]  # the print is asked for first
    page.example("probe", "b-2.png")
    assert page.ask("identify", model=MODEL).json()["error"] == f"nobody is enrolled for {MODEL}; enrol a print first"
    for file, finger in (("a-1.png", " Anna  A "), ("b-1.png", "Ben"), ("a-2.png", "Anna A")):
        page.example("enrol", file)
        answer = page.ask("enrol", model=MODEL, finger=finger, dpi=500).json()
    assert answer["gallery"] == [
        {"finger": "Anna A", "picture": "a-1.png"}, {"finger": "Ben", "picture": "b-1.png"},
        {"finger": "Anna A", "picture": "a-2.png"},
    ]  # fmt: skip
    assert "enrolled already" in page.ask("enrol", model=MODEL, finger="Eve", dpi=500).json()["error"]
    assert "no name" in page.ask("enrol", model=MODEL, finger=" ", dpi=500).json()["error"]
    found = page.ask("identify", model=MODEL, dpi=500).json()
    assert [(m["finger"], m["same"]) for m in found["matches"]] == [("Ben", True), ("Anna A", False)]
    assert found["among"] == 2
    assert page.ask("enrolled", model="recognise").json()["gallery"] == []  # another model, another gallery
    assert Page(page.client).ask("enrolled", model=MODEL).json()["gallery"] == []  # another page as well
    page.ask("forget", model=MODEL)
    assert "nobody is enrolled" in page.ask("identify", model=MODEL).json()["error"]


def test_repair(page: Page) -> None:
    page.example("repair", "c-180dpi-altered.png")
    answer = page.ask("repair", model="repair-gated", dpi=900).json()
    after = picture_of(answer["after"])
    assert after.shape == (answer["height"], answer["width"]) == picture_of(answer["before"]).shape
    assert picture_of(answer["damage"]).shape == (*after.shape, 4)
    assert answer["dpi"] == 160
    assert answer["found"] is None
    assert "the dpi is missing" in page.ask("repair", model="repair-gated").json()["error"]
    assert page.ask("repair", model=MODEL, dpi=500).json()["error"] == (
        f"no model '{MODEL}' here; there are repair-1, repair-gated"
    )


def test_repair_by_the_model_that_comes_with_fpml(page: Page) -> None:
    """The example's Z is found, and drawn by its corners."""
    page.example("repair", "c-180dpi-altered.png")
    answer = page.ask("repair", model="repair-1", dpi=180).json()
    assert answer["found"]["kind"] == "Zcut"
    assert set(answer["found"]["place"]) == {"v0", "v1", "v2", "v3"}
    assert picture_of(answer["after"]).shape == (answer["height"], answer["width"])


@dataclass(frozen=True)
class Found:
    kind: str
    place: dict[str, float]


def test_repair_by_a_model_that_says_what_it_found(page: Page, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that takes whole pictures: what was before lies under what is after."""
    gated = models.repairing["repair-gated"]
    after, found = np.full((150, 130), 7, np.uint8), Found("CR", {"y": 70.0, "x": 60.0, "radius": 20.0, "degrees": 44.0})
    repaired = SimpleNamespace(picture=after, damage=np.zeros(after.shape, np.float32), dpi=250.0, found=found)
    whole = SimpleNamespace(
        name="repair-1", sha256=gated.sha256, facts={}, data=replace(gated.data, crop="none"), repair=lambda *_: [repaired]
    )
    monkeypatch.setitem(models.repairing, "repair-1", whole)  # type: ignore[arg-type]
    page.example("repair", "a-1.png")
    answer = page.ask("repair", model="repair-1", dpi=500).json()
    assert answer["found"] == {"kind": "CR", "place": found.place}
    half = Image.fromarray(example("a-1.png").grey).resize((130, 150), Image.Resampling.LANCZOS)
    assert np.array_equal(picture_of(answer["before"]), np.asarray(half))


def test_inside_and_its_files(page: Page, tmp_path: Path) -> None:
    page.example("inside", "a-1.png")
    answer = page.ask("inside", model=MODEL, dpi=None).json()
    [seen] = fpml.load(MODEL).minutiae(example("a-1.png").grey, None)
    assert np.allclose(answer["orientation"], np.rad2deg(seen.orientation), atol=0.51)
    assert np.allclose(answer["period"], seen.period, atol=0.051)
    assert np.array(answer["skin"]).shape == seen.foreground.shape
    assert "told by its ridges" in answer["facts"]["resolution"]
    assert answer["facts"]["quality"].startswith("enough to be compared")
    (tmp_path / "a.fmr").write_bytes(base64.b64decode(answer["files"]["fmr"]))
    (tmp_path / "a.json").write_text(answer["files"]["json"], encoding="utf-8")
    for file in ("a.fmr", "a.json"):
        assert len(formats.read(tmp_path / file)) == len(seen.template) == len(answer["minutiae"])


def test_a_print_of_nothing_can_be_looked_at(page: Page) -> None:
    noise = np.random.default_rng(0).integers(250, 255, (90, 90), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, format="png")
    page.upload(stream.getvalue())
    facts = page.ask("inside", model=MODEL, dpi=500).json()["facts"]
    assert facts["quality"].startswith("too poor to be compared")
    assert facts["minutiae"] == "none"


WISH = {"pattern": "whorl", "sensor": "secugen", "condition": "wet", "seed": 5, "impressions": 1, "kind": "CR", "level": "Hard"}


def test_make(page: Page) -> None:
    choices = page.ask("choices").json()
    assert {"whorl", "natural"} < set(choices["pattern"])
    assert {"wet", "dry", "fvc"} < set(choices["condition"])
    assert choices["kind"][0] == "none"
    answer = page.ask("make", **WISH).json()
    [made] = answer["prints"]
    assert answer["pattern"] == "whorl"
    assert made["condition"] == "wet"
    before, after = picture_of(made["png"]), picture_of(made["altered"])
    assert np.array_equal(picture_of(made["changed"])[..., 3] > 0, before != after)
    assert len(made["minutiae"]) > 10
    assert answer["model"] is None
    for wrong in ({"pattern": "square"}, {"sensor": "eye"}, {"condition": "odd"}, {"kind": "burnt"}, {"level": "None"}):
        assert "unknown" in page.ask("make", **{**WISH, **wrong}).json()["error"], wrong
    for wrong in ({"impressions": 9}, {"seed": -1}, {"fingers": 3}):  # type: ignore[dict-item]
        assert next(iter(wrong)) in page.ask("make", **{**WISH, **wrong}).json()["error"], wrong


def test_made_prints_as_a_zip_with_their_truth(page: Page, tmp_path: Path) -> None:
    answer = page.ask("made.zip", **WISH)
    assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    picture = np.asarray(Image.open(tmp_path / "secugen/1_1.png"))
    [made] = page.ask("make", **WISH).json()["prints"]
    assert np.array_equal(picture, picture_of(made["png"]))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "altered/1_1_CR_Hard.png")), picture_of(made["altered"]))
    assert len(Truth(tmp_path).minutiae("secugen/1_1.png")) == len(made["minutiae"])
    command = (tmp_path / "command.txt").read_text(encoding="utf-8")
    assert command.startswith(
        "fpml synth --out DIR --fingers 1 --impressions 1 --sensor secugen --seed 5 --condition wet --class"
    )


def test_the_examples_are_what_their_titles_say(page: Page) -> None:
    model = fpml.load(MODEL)
    threshold = threshold_of(model).value
    template = {f: model.minutiae(example(f).grey, example(f).dpi)[0].template for f in examples()}
    for one, other in (("a-1.png", "a-2.png"), ("a-1.png", "a-3.png"), ("b-1.png", "b-2.png")):
        assert compared(template[one], template[other]).score > threshold
    for other in ("b-1.png", "b-2.png", "c-180dpi.png"):
        assert compared(template["a-1.png"], template[other]).score < threshold
    assert sum(p.stat().st_size for p in EXAMPLES.iterdir()) < 400_000
