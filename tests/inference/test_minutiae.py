"""The shipped minutiae model on prints whose truth is known, and on what is no print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

import fpml
from fpml.data.pictures import BadPicture
from fpml.inference.minutiae import APART, TooPoor, comparable, look
from fpml.inference.model import Model
from fpml.matching import formats
from fpml.metrics.minutiae import WIDE, paired
from fpml.synth.generate import Prints, generate

NAME = "minutiae-1"


@pytest.fixture(scope="module")
def model() -> Model:
    return fpml.load(NAME)


@pytest.fixture(scope="module")
def prints() -> Prints:
    """Two impressions of three fingers, on a sensor that is in no training."""
    return generate(3, 2, "random-3", seed=55, condition="normal", device="cpu")


def true_of(prints: Prints, row: int) -> np.ndarray:
    table = prints.minutiae[row]
    table = table[table["depth"] > 16]
    return table[["x", "y", "angle"]].to_numpy(float)


def found_share(found: np.ndarray, true: np.ndarray) -> float:
    return len(paired(found, true, WIDE)) / len(true)


def test_what_is_true_is_found(model: Model, prints: Prints) -> None:
    for row in range(len(prints.pictures)):
        template = look(model, prints.pictures[row], 500).template
        assert found_share(template.table(), true_of(prints, row)) > 0.8
        apart = np.hypot(template.x[:, None] - template.x, template.y[:, None] - template.y)
        assert apart[~np.eye(len(template), dtype=bool)].min() > APART


def test_fields_are_the_true_ones(model: Model, prints: Prints) -> None:
    seen = look(model, prints.pictures[0], 500)
    skin = prints.masks[0][4::8, 4::8]
    off = np.angle(np.exp(2j * (seen.orientation - prints.orientation[0]))) / 2
    assert np.median(np.abs(off[skin])) < np.deg2rad(6)
    assert np.median(np.abs(seen.period / prints.period[0] - 1)[skin]) < 0.08
    assert ((seen.foreground > 0.5) == skin).mean() > 0.93


def test_a_look_that_only_counts_sees_the_same_minutiae(model: Model, prints: Prints) -> None:
    whole, counted = (look(model, prints.pictures[0], 500, described) for described in (True, False))
    for column in ("x", "y", "angle", "quality"):
        np.testing.assert_array_equal(getattr(counted.template, column), getattr(whole.template, column))
    assert counted.template.texture is None
    assert whole.template.texture is not None


@pytest.mark.parametrize("dpi", [250, 1000, 1500])
def test_places_are_at_500_dpi_whatever_the_picture_s(model: Model, prints: Prints, dpi: int) -> None:
    picture = Image.fromarray(prints.pictures[0])
    size = (round(picture.width * dpi / 500), round(picture.height * dpi / 500))
    template = look(model, np.asarray(picture.resize(size, Image.Resampling.LANCZOS)), dpi).template
    assert (template.width, template.height) == (picture.width, picture.height)
    assert found_share(template.table(), true_of(prints, 0)) > 0.7


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.0, 3.5])
def test_an_unknown_dpi_is_told_by_the_ridges(model: Model, prints: Prints, factor: float) -> None:
    picture = Image.fromarray(prints.pictures[0])
    size = (round(picture.width * factor), round(picture.height * factor))
    seen = look(model, np.asarray(picture.resize(size, Image.Resampling.LANCZOS)), None)
    usual = 500 * np.median(prints.period[0][prints.masks[0][4::8, 4::8]]) / 9
    assert seen.dpi_estimated
    assert seen.dpi == pytest.approx(factor * usual, rel=0.12)
    assert seen.ridge_period == pytest.approx(9, rel=0.12)


def test_a_mirrored_print_is_another_finger(model: Model, prints: Prints) -> None:
    from fpml.inference.compare import compared

    mirror = np.ascontiguousarray(prints.pictures[1][:, ::-1])
    one, mate, mirrored = (comparable(model, p, 500).template for p in (*prints.pictures[:2], mirror))
    assert compared(one, mate).score > 2 * compared(one, mirrored).score


def test_an_embedding_tells_fingers_apart(model: Model, prints: Prints) -> None:
    vectors = model.embed(list(prints.pictures), 500)
    alike = vectors @ vectors.T
    same = np.arange(6) // 2
    mates = alike[np.equal.outer(same, same) & ~np.eye(6, dtype=bool)]
    assert mates.min() > alike[np.not_equal.outer(same, same)].max()
    with pytest.raises(TooPoor):
        model.embed([prints.pictures[0], face()], 500)
    assert model.embed([]).shape == (0, vectors.shape[1])


def face() -> np.ndarray:
    """A drawn cat."""
    picture = Image.new("L", (400, 400), 210)
    draw = ImageDraw.Draw(picture)
    draw.polygon([(90, 180), (110, 60), (190, 120)], fill=90)
    draw.polygon([(310, 180), (290, 60), (210, 120)], fill=90)
    draw.ellipse((80, 90, 320, 340), fill=120)
    for x in (150, 250):
        draw.ellipse((x - 22, 180, x + 22, 210), fill=240)
        draw.ellipse((x - 7, 182, x + 7, 208), fill=10)
    draw.polygon([(185, 240), (215, 240), (200, 258)], fill=50)
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (face(), TooPoor),
        (np.full((300, 300), 255, np.uint8), BadPicture),
        (np.zeros((300, 300), np.uint8), BadPicture),
        (np.random.default_rng(1).integers(0, 256, (300, 300)).astype(np.uint8), TooPoor),
        (np.zeros((300, 300, 3), np.uint8), BadPicture),
    ],
    ids=["cat", "white", "black", "noise", "colour"],
)
def test_what_is_no_print_is_said_to_be_none(model: Model, picture: np.ndarray, error: type[BadPicture]) -> None:
    with pytest.raises(error):
        comparable(model, picture, 500)


def test_a_picture_too_large_for_a_print(model: Model) -> None:
    with pytest.raises(BadPicture, match="2500 x 2500 pixels at 500 dpi"):
        look(model, np.random.default_rng(0).integers(0, 255, (500, 500)).astype(np.uint8), 100)


@pytest.fixture
def files(project: Path, prints: Prints) -> Path:
    folder = project / "mine"
    folder.mkdir()
    for row, (finger, impression) in enumerate(zip(prints.fingers, prints.impressions, strict=True)):
        Image.fromarray(prints.pictures[row]).save(folder / f"f{finger.number}_{impression}.png")
    return folder


def test_verify_says_same_other_and_can_t_be_said(project: Path, fpml: Callable[..., Any], files: Path) -> None:
    """In a folder without params.yaml; exit codes 0, 1 and 2."""
    (project / "params.yaml").unlink()
    said = fpml("verify", "mine/f1_1.png", "mine/f1_2.png", "--explain", "why.png")
    assert "the same finger" in said.out
    assert "impostor pairs scored as high" in said.out
    assert "FMR 0.1" in said.out
    drawn = np.asarray(Image.open(project / "why.png"))
    assert (drawn[..., 0].astype(int) - drawn[..., 1] > 100).sum() > 200  # the red lines
    with pytest.raises(SystemExit) as ended:
        fpml("verify", "mine/f1_1.png", "mine/f2_1.png")
    assert ended.value.code == 1
    Image.fromarray(face()).save(project / "cat.png")
    assert "cat.png can't be compared" in fpml("verify", "mine/f1_1.png", "cat.png", code=2).err
    assert "absent.png is not there" in fpml("verify", "mine/f1_1.png", "absent.png", code=2).err
    assert "--dpi has 3 values" in fpml("verify", "mine/f1_1.png", "mine/f1_2.png", "--dpi", "1", "2", "3", code=2).err


def test_encode_writes_a_vector_for_each_print(project: Path, fpml: Callable[..., Any], files: Path, model: Model) -> None:
    Image.fromarray(face()).save(files / "cat.png")
    said = fpml("encode", "mine", "--model", NAME, "--out", "vectors.parquet").out
    assert "cat.png: left out: " in said
    assert "6 of 7 pictures, 1 left out" in said
    table = pd.read_parquet(project / "vectors.parquet")
    assert table["picture"].tolist() == sorted(str(p.relative_to(project)) for p in files.glob("f*.png"))
    grey = np.asarray(Image.open(files / "f2_1.png"))
    row = table[table["picture"] == "mine/f2_1.png"].filter(like="embedding_").to_numpy()
    np.testing.assert_allclose(row, model.embed(grey), atol=1e-5)
    fpml("encode", "mine/f2_1.png", "--model", NAME, "--dpi", "auto", "--out", "vectors.parquet")
    row = pd.read_parquet(project / "vectors.parquet").filter(like="embedding_").to_numpy()
    np.testing.assert_allclose(row, model.embed(grey, None), atol=1e-5)
    said = fpml("encode", "mine", "--model", "repair-1", "--out", "vectors.parquet", code=2).err
    assert "repair-1 gives neither a code nor an embedding; take minutiae-1" in said


@pytest.mark.parametrize("dpi", ["0", "-5", "nan", "inf", "1e9"])
@pytest.mark.parametrize("command", ["verify", "minutiae", "enrol"])
def test_a_dpi_that_no_print_has(fpml: Callable[..., Any], files: Path, command: str, dpi: str) -> None:
    others = {"verify": ["mine/f1_2.png"], "minutiae": ["--out", "out"], "enrol": ["--gallery", "g.parquet"]}
    said = fpml(command, "mine/f1_1.png", *others[command], "--dpi", dpi, code=2).err
    assert f"dpi is {float(dpi)}; allowed: 50 to 5000" in said


@pytest.mark.parametrize("out", ["mine/f1_1.png", "mine", "people.parquet"])
def test_a_drawing_takes_no_other_file_s_place(project: Path, fpml: Callable[..., Any], files: Path, out: str) -> None:
    before = (files / "f1_1.png").read_bytes()
    assert "give the name of a new picture" in fpml("verify", "mine/f1_1.png", "mine/f1_2.png", "--explain", out, code=2).err
    assert (files / "f1_1.png").read_bytes() == before


def test_a_folder_is_no_print(fpml: Callable[..., Any], files: Path) -> None:
    assert "mine is a folder; verify takes two" in fpml("verify", "mine", "mine/f1_2.png", code=2).err


def test_verify_takes_prints_of_different_dpi(project: Path, fpml: Callable[..., Any], files: Path) -> None:
    picture = Image.open(files / "f1_2.png")
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.LANCZOS).save(project / "fine.png")
    assert "the same finger" in fpml("verify", "mine/f1_1.png", "fine.png", "--dpi", "500", "1000").out
    said = fpml("verify", "mine/f1_1.png", "fine.png", "--dpi", "500", "auto").out
    assert "the same finger" in said
    assert "dpi, estimated by its ridges" in said


def test_templates_in_the_place_of_pictures(project: Path, fpml: Callable[..., Any], files: Path) -> None:
    said = fpml("minutiae", "mine", "--out", "templates", "--finger", "7").out
    assert "6 of 6 pictures" in said
    assert formats.read(project / "templates/f1_1-minutiae.fmr").finger == 7
    for kind in ("json", "fmr", "xyt"):
        assert "the same finger" in fpml("verify", "mine/f1_1.png", f"templates/f1_2-minutiae.{kind}").out
    (project / "short.fmr").write_bytes((project / "templates/f1_1-minutiae.fmr").read_bytes()[:40])
    assert "cut short" in fpml("verify", "mine/f1_1.png", "short.fmr", code=2).err
    record = json.loads((project / "templates/f1_1-minutiae.json").read_text(encoding="utf-8"))
    record["minutiae"] = record["minutiae"][:1]
    del record["texture"], record["texture_of"]
    (project / "one.json").write_text(json.dumps(record), encoding="utf-8")
    assert "1 minutiae, and at least 4 are needed" in fpml("verify", "mine/f1_1.png", "one.json", code=2).err


def test_a_folder_of_templates(project: Path, fpml: Callable[..., Any], files: Path) -> None:
    """Of three formats of one print, one is taken: JSON, which keeps most. A folder with pictures gives its pictures."""
    fpml("minutiae", "mine", "--out", "templates")
    assert "6 prints of 3 fingers" in fpml("enrol", "templates", "--gallery", "g.parquet").out
    import pandas as pd

    assert {Path(p).suffix for p in pd.read_parquet(project / "g.parquet")["picture"]} == {".json"}
    (files / "f1_1.json").write_bytes((project / "templates/f1_1-minutiae.json").read_bytes())
    assert "6 prints of 3 fingers" in fpml("enrol", "mine", "--gallery", "h.parquet").out
    (project / "empty").mkdir()
    assert "empty has no pictures (" in (said := fpml("enrol", "empty", "--gallery", "i.parquet", code=2).err)
    assert "and no templates (.json, " in said


def test_a_gallery_of_minutiae(project: Path, fpml: Callable[..., Any], files: Path) -> None:
    said = fpml("enrol", *(f"mine/f{n}_1.png" for n in (1, 2, 3)), "--gallery", "g.parquet").out
    assert "3 prints of 3 fingers" in said
    for number in (1, 2, 3):
        found = fpml("identify", f"mine/f{number}_2.png", "--gallery", "g.parquet").out
        line = next(line for line in found.splitlines() if line.startswith("mine/"))
        first, *others = line.partition(": ")[2].split(", ")
        assert first.startswith(f"f{number} ")
        assert first.endswith(" match")
        assert not any(other.endswith(" match") for other in others)
    import pandas as pd

    frame = pd.read_parquet(project / "g.parquet")
    frame.rename(columns={"search_codes": "codes"}).to_parquet(project / "older.parquet")
    assert "was made by an older fpml" in fpml("identify", "mine/f1_2.png", "--gallery", "older.parquet", code=2).err
    frame.assign(model="of another version").to_parquet(project / "old.parquet")
    assert "was made with another model" in fpml("identify", "mine/f1_2.png", "--gallery", "old.parquet", code=2).err
    assert "enrol into a new file" in fpml("enrol", "mine/f1_2.png", "--gallery", "old.parquet", code=2).err
