import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from sklearn.metrics import roc_curve

from fpml.data.store import Prepared
from fpml.metrics.intervals import wilson
from fpml.metrics.pictures import to_float
from fpml.models import embedder
from fpml.tasks.recognise.train import imprint
from fpml.training.batches import Batches
from tests.conftest import make_print, write_fvc
from tests.tasks.made import SWAPPED, TRAINED, UNSEEN, matches

MINE = ("--model", "recognise")  # without it, minutiae are compared


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


def test_the_last_layer_begins_with_the_fingers_embeddings() -> None:
    pictures = np.random.default_rng(1).integers(0, 255, (7, 48, 48), np.uint8)
    whole = Prepared([pictures], [np.ones_like(pictures)], None, {"rows_per_shard": 7})  # type: ignore[arg-type]
    classes = np.array([0, 1, 2, 0, 1, 2, 0])
    batches = Batches(whole, np.arange(7), 4, Accelerator(cpu=True), classes=classes)
    network = embedder.Embedder(4, 3)
    imprint(network, batches, Accelerator(cpu=True))
    with torch.inference_mode():
        vectors = network.eval()(to_float(pictures, torch.device("cpu")))[1]
    for number in range(3):
        mean = vectors[torch.from_numpy(classes == number)].mean(0)
        torch.testing.assert_close(network.fc.weight[number], mean / mean.norm())


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
    scores = pd.read_parquet(project / "results/recognise/scores.parquet")
    for metric, top in (("accuracy", 1), ("top5", 5)):
        assert table.loc[(metric, "model"), "value"] == (scores["rank"] <= top).mean()
    for metric in ("accuracy", "top5", "eer_all", "rank1"):
        assert set(table.loc[metric].index) == {"model", "PCA", "Gabor energies"}
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
    assert "EER over all pairs of prints, %" in (project / "report/index.html").read_text(encoding="utf-8")


def test_the_numbers_of_known_matches(table_of: Callable[..., pd.DataFrame]) -> None:
    """Against plain computations on the same embeddings: of the closed set, where two test prints are another finger's; and of
    fingers never seen."""
    run, table = matches(), table_of(matches).droplevel("part")
    own, value = table.xs("model", level="method"), table["value"].xs("model", level="method")
    tests = TRAINED * 2
    assert value["accuracy"] == (tests - SWAPPED) / tests
    assert own.loc["accuracy", ["low", "high"]].tolist() == pytest.approx(wilson(tests - SWAPPED, tests))
    with torch.inference_mode():
        logits = run.network(to_float(run.prints.take(np.flatnonzero(run.side == "test")), run.device))[0].numpy()
        vectors = run.network(to_float(run.prints.take(np.flatnonzero(run.side == "unseen")), run.device))[1].numpy()
    five = np.argsort(-logits, 1)[:, :5]
    assert value["top5"] == np.mean([number // 2 in row for number, row in enumerate(five)])
    assert value["accuracy"] <= value["top5"] <= 1

    finger = np.arange(len(vectors)) // 2
    alike = vectors @ vectors.T
    a, b = np.triu_indices(len(vectors), 1)
    first = (a % 2 == 0) & (b % 2 == 0)
    for metric, kept in (("eer", first | (finger[a] == finger[b])), ("eer_all", np.full(len(a), True))):
        fpr, tpr, _ = roc_curve(finger[a][kept] == finger[b][kept], alike[a, b][kept], drop_intermediate=False)
        crossing = np.argmax(tpr >= 1 - fpr)
        assert 0 < fpr[crossing - 1] < 0.4  # neither too easy nor by chance
        assert 100 * fpr[crossing - 1] - 1e-9 <= value[metric] <= 100 * fpr[crossing] + 1e-9
        assert own.loc[metric, "low"] < value[metric] < own.loc[metric, "high"]
    genuine = alike[finger[:, None] == finger[None]].reshape(UNSEEN, 2, 2)[:, 0, 1]
    impostors = np.sort(alike[::2, ::2][np.triu_indices(UNSEEN, 1)])[::-1]
    for metric, fmr in (("fmr100", 0.01), ("fmr1000", 0.001), ("zerofmr", 0.0)):
        over = impostors[int(fmr * len(impostors))]  # the best impostor that must not match
        assert value[metric] == pytest.approx(100 * (genuine <= over).mean())
    spread = np.sqrt((genuine.var() + impostors.var()) / 2)
    assert value["d_prime"] == pytest.approx((genuine.mean() - impostors.mean()) / spread)
    likeness = vectors[1::2] @ vectors[::2].T
    assert value["rank1"] == (likeness.argmax(1) == np.arange(UNSEEN)).mean()
    assert 0 < value["rank1"] < 1


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
    assert why in fingers("verify", "raw/prints/DB1_B/1_1.tif", "raw/prints/DB1_B/1_2.tif", *MINE, code=2).err


def test_enrol_identify_and_verify(project: Path, fingers: Callable[..., Any]) -> None:
    fingers("train", "recognise")
    fingers("export", "recognise")
    mine = project / "mine"
    mine.mkdir()
    for finger in range(4):
        for impression in (1, 2):
            Image.fromarray(make_print(900 + finger)).save(mine / f"person{finger}_{impression}.png")
    assert "no threshold is known" in fingers("verify", "mine/person0_1.png", "mine/person0_2.png", *MINE, code=2).err
    fingers("evaluate", "recognise")
    fingers("export", "recognise")
    weights = project / "models/recognise/weights.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))  # other weights than those that were measured
    assert (
        "not measured on fingers never seen" in fingers("verify", "mine/person0_1.png", "mine/person0_2.png", *MINE, code=2).err
    )
    weights.write_bytes(kept)
    said = fingers("enrol", *(f"mine/person{n}_1.png" for n in range(4)), *MINE).out
    assert "gallery.parquet: 4 prints of 4 fingers" in said
    assert "is enrolled already" in fingers("enrol", "mine/person0_1.png", *MINE, code=2).err
    found = fingers("identify", "mine/person2_2.png", "--model", "recognise.fpml.zip").out
    assert "mine/person2_2.png: person2 1.000" in found
    assert "FMR 0.00%, counted over 36 impostor pairs of 1 pairs of fingers of prints" in found
    assert "too few fingers to trust it" in found
    facts_path = project / "results/recognise/facts.json"
    facts_path.write_text(
        json.dumps(json.loads(facts_path.read_text(encoding="utf-8")) | {"threshold": 0.999}), encoding="utf-8"
    )
    assert "person2 1.000 match" in fingers("identify", "mine/person2_2.png", *MINE).out
    same = fingers("verify", "mine/person1_1.png", "mine/person1_2.png", *MINE).out
    assert "score 1.000: the same finger" in same
    assert "nobody.parquet is not there" in fingers("identify", "mine", "--gallery", "nobody.parquet", *MINE, code=2).err
    assert "no group (?P<finger>" in fingers("enrol", "mine", "--pattern", "x", "--gallery", "g.parquet", *MINE, code=2).err
    (project / "names").mkdir()
    (project / "names" / "._José_3.png").touch()
    for impression, form in ((1, "NFC"), (2, "NFD")):
        name = unicodedata.normalize(form, f"José_{impression}.png")
        Image.fromarray(make_print(900 + impression)).save(project / "names" / name)
    assert "2 prints of 1 fingers" in fingers("enrol", "names", "--gallery", "names.parquet", *MINE).out


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
        fingers("verify", "1_1.png", "2_1.png", *MINE)
    assert ended.value.code == 1
