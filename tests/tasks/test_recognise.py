import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.conftest import make_print, write_fvc


@pytest.fixture
def fingers(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    """Six fingers of six prints on one sensor, prepared for recognise; two of them are never trained on."""
    import shutil

    shutil.rmtree(project / "raw/prints")
    write_fvc(project / "raw/prints", ("DB1_B",), 6, 6)
    change_params("run", {"recognise": {"task": "recognise", "model": "resnet"}})
    change_params("recipes.recognise.split.unseen", 0.34)
    change_params("recipes.recognise.data.test", [])
    for command in (("ingest", "prints"), ("ingest", "other"), ("prepare", "recognise"), ("split", "recognise")):
        fpml(*command)
    return fpml


def sides(project: Path) -> pd.DataFrame:
    index = pd.read_parquet(project / "data/prepared/recognise/index.parquet")
    return index.assign(side=pd.read_parquet(project / "data/split/recognise.parquet")["side"])


def test_no_finger_of_verification_is_trained_on(project: Path, fingers: Callable[..., Any]) -> None:
    frame = sides(project)
    by_side = {side: set(part["finger_id"]) for side, part in frame.groupby("side")}
    assert not by_side["unseen"] & by_side["train"]
    assert by_side["train"] == by_side["validation"] == by_side["test"]
    counts = frame[frame["side"] != "unseen"].groupby(["finger_id", "side"]).size().unstack()
    assert (counts["test"] == 2).all()
    assert len(by_side["unseen"]) == 2


def test_a_pixel_identical_print_is_on_no_two_sides(project: Path, fingers: Callable[..., Any]) -> None:
    names = sorted((project / "raw/prints/DB1_B").iterdir())
    names[1].write_bytes(names[0].read_bytes())  # 1_2 is 1_1
    names[-1].write_bytes(names[6].read_bytes())  # and one finger's print is another's
    fingers("ingest", "prints")
    fingers("prepare", "recognise")
    fingers("split", "recognise")
    frame = sides(project)
    used = frame[frame["side"] != "excluded"]
    assert (frame["side"] == "excluded").sum() == 2
    assert used["sha256"].is_unique


def test_from_closed_set_to_saliency(project: Path, fingers: Callable[..., Any]) -> None:
    fingers("train", "recognise")
    fingers("evaluate", "recognise")
    table = pd.read_parquet(project / "results/recognise/table.parquet").set_index(["metric", "method"])
    for metric in ("accuracy", "top5", "eer_all", "rank1"):
        for method in ("model", "PCA", "Gabor energies"):
            assert np.isfinite(table.loc[(metric, method), "value"])
    assert table.loc[("accuracy", "model"), "prints"] == 8
    assert 0 <= table.loc[("accuracy", "model"), "low"] < table.loc[("accuracy", "model"), "high"] <= 1
    assert not {"eer", "fmr1000"} & set(table.index.get_level_values(0))  # with one impostor pair nobody can say
    facts = json.loads((project / "results/recognise/facts.json").read_text(encoding="utf-8"))
    assert facts["pairs"] == {"prints/DB1": [30, 1]}
    assert facts["threshold_impostors"] == 36
    assert (facts["threshold_finger_pairs"], facts["threshold_fmr_high"]) == (
        1,
        pytest.approx(0.793, abs=1e-3),
    )
    files = {p.name for p in (project / "results/recognise/figures").iterdir()}
    right = pd.read_parquet(project / "results/recognise/scores.parquet")["rank"].eq(1).any()
    wanted = {"cmc.png", "det.png", "cross-sensor.png", "loss.png"} | ({"saliency.png"} if right else set())
    assert wanted <= files
    fingers("report")
    assert "EER, %, all pairs of prints" in (project / "report/index.html").read_text(encoding="utf-8")


def test_too_few_prints_and_too_few_fingers(
    project: Path, fingers: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("recipes.recognise.split.test", 5)
    error = fingers("split", "recognise", code=2).err
    assert "4 finger(s) have too few prints" in error
    assert "prints/DB1/" in error
    change_params("recipes.recognise.split.test", 2)
    change_params("recipes.recognise.split.unseen", 0.84)
    fingers("split", "recognise")
    assert "recognise needs two fingers or more" in fingers("train", "recognise", code=2).err


@pytest.mark.parametrize(
    ("unseen", "why"),
    [
        (0, "no finger was kept unseen (split.unseen is 0 and data.test is empty)"),
        (0.17, "(prints/DB1 15 genuine and 0 impostor; split.unseen is 0.17 and data.test is empty): two fingers or more"),
    ],
)
def test_why_there_is_no_threshold(
    project: Path, fingers: Callable[..., Any], change_params: Callable[..., None], unseen: float, why: str
) -> None:
    change_params("recipes.recognise.split.unseen", unseen)
    for command in ("split", "train", "evaluate"):
        fingers(command, "recognise")
    assert why in fingers("verify", "raw/prints/DB1_B/1_1.tif", "raw/prints/DB1_B/1_2.tif", code=2).err


def test_enrol_identify_and_verify(project: Path, fingers: Callable[..., Any]) -> None:
    fingers("train", "recognise")
    fingers("export", "recognise")
    mine = project / "mine"
    mine.mkdir()
    for finger in range(4):
        for impression in (1, 2):
            Image.fromarray(make_print(900 + finger)).save(mine / f"person{finger}_{impression}.png")
    assert "no threshold is known" in fingers("verify", "mine/person0_1.png", "mine/person0_2.png", code=2).err
    fingers("evaluate", "recognise")
    fingers("export", "recognise")
    weights = project / "models/recognise/weights.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))  # other weights than those that were measured
    assert "not measured on fingers never seen" in fingers("verify", "mine/person0_1.png", "mine/person0_2.png", code=2).err
    weights.write_bytes(kept)
    said = fingers("enrol", *(f"mine/person{n}_1.png" for n in range(4))).out
    assert "gallery.parquet: 4 prints of 4 fingers" in said
    assert "is in the gallery already" in fingers("enrol", "mine/person0_1.png", code=2).err
    found = fingers("identify", "mine/person2_2.png", "--model", "recognise.fpml.zip").out
    assert "mine/person2_2.png: person2 1.000" in found
    assert "FMR 0.00%, counted over 36 impostor pairs of 1 pairs of fingers of prints" in found
    assert "too few fingers to trust it" in found
    facts_path = project / "results/recognise/facts.json"
    facts_path.write_text(
        json.dumps(json.loads(facts_path.read_text(encoding="utf-8")) | {"threshold": 0.999}), encoding="utf-8"
    )
    assert "person2 1.000 match" in fingers("identify", "mine/person2_2.png").out
    same = fingers("verify", "mine/person1_1.png", "mine/person1_2.png").out
    assert "score 1.000: the same finger" in same
    assert "nobody.parquet is not there" in fingers("identify", "mine", "--gallery", "nobody.parquet", code=2).err
    assert "no group (?P<finger>" in fingers("enrol", "mine", "--pattern", "x", "--gallery", "g.parquet", code=2).err
    (project / "names").mkdir()
    (project / "names" / "._José_3.png").touch()
    for impression, form in ((1, "NFC"), (2, "NFD")):
        name = unicodedata.normalize(form, f"José_{impression}.png")
        Image.fromarray(make_print(900 + impression)).save(project / "names" / name)
    assert "2 prints of 1 fingers" in fingers("enrol", "names", "--gallery", "names.parquet").out


def test_verify_ends_with_one_where_the_fingers_differ(
    project: Path, fingers: Callable[..., Any], fpml: Callable[..., Any]
) -> None:
    fingers("train", "recognise")
    fingers("evaluate", "recognise")
    facts_path = project / "results/recognise/facts.json"
    facts = json.loads(facts_path.read_text(encoding="utf-8"))
    facts_path.write_text(json.dumps(facts | {"threshold": 1.5}), encoding="utf-8")
    for n in (1, 2):
        Image.fromarray(make_print(n)).save(project / f"{n}_1.png")
    with pytest.raises(SystemExit) as ended:
        fingers("verify", "1_1.png", "2_1.png")
    assert ended.value.code == 1
