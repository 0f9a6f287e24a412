from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import make_print, with_altered_prints


def test_reconstruct_ones_own_pictures(project: Path, trained: Callable[..., Any]) -> None:
    mine = project / "mine"
    (mine / "deep").mkdir(parents=True)
    Image.fromarray(make_print(7)).save(mine / "a.png")
    Image.fromarray(make_print(8, 200, 180)).convert("RGB").save(mine / "deep" / "a.jpg")
    (mine / "bad.png").write_text("x", encoding="utf-8")
    said = trained("reconstruct", str(mine), "--out", str(project / "out")).out
    assert "bad.png: left out: not a picture" in said
    assert "2 of 3 pictures, 1 left out" in said
    made = sorted(p.name for p in (project / "out").iterdir())
    assert len(made) == 4
    for name in made:
        picture = np.asarray(Image.open(project / "out" / name))
        assert picture.shape == (32, 32)
        assert picture.dtype == np.uint8
    registered = trained(
        "reconstruct", str(mine / "a.png"), "--out", str(project / "out2"), "--model", "models:/reconstruct@challenger"
    )
    assert "1 of 1 pictures" in registered.out
    assert (project / "out2/a-reconstruction.png").read_bytes() == (project / "out/a-reconstruction.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.png", "--out", "o"], "absent.png is not there"),
        (["raw/other", "--out", "o", "--model", "nothing"], "no model 'nothing'"),
        (["raw/other", "--out", "o", "--model", "models:/nothing@challenger"], "can't be loaded"),
        (["raw/other", "--out", "o", "--dpi", "5"], "dpi is 5"),
        (["params.yaml", "--out", "o"], "none of the 1 pictures"),
        (["void", "--out", "o"], "void has no pictures"),
        (["raw/other", "--out", "params.yaml"], "--out is params.yaml, a file"),
    ],
)
def test_bad_input(project: Path, trained: Callable[..., Any], arguments: list[str], words: str) -> None:
    (project / "void").mkdir()
    assert words in trained("reconstruct", *arguments, code=2).err


def test_repair_keeps_the_pictures_size_and_its_undamaged_pixels(
    project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("run", {"repair-gated": {"task": "repair", "model": "gated"}})
    with_altered_prints(project, "repair-gated", change_params)
    for command in (("ingest", "altered"), ("prepare", "repair-gated"), ("split", "repair-gated"), ("train", "repair-gated")):
        fpml(*command)
    picture = "raw/altered/Altered/Altered-Easy/1__M_Left_index_finger_CR.BMP"
    said = fpml("repair", picture, "--out", "out", "--reader", "socofing").out
    assert "% damaged" in said
    before = np.asarray(Image.open(project / picture))[2:-4, 2:-4]
    repaired, damage = (
        np.asarray(Image.open(project / f"out/1__M_Left_index_finger_CR-{what}.png")) for what in ("repaired", "damage")
    )
    assert repaired.shape == damage.shape == (97, 90)
    untouched = damage < 25
    assert (repaired[untouched] == before[untouched]).all()


def test_a_run_in_one_file(project: Path, trained: Callable[..., Any]) -> None:
    Image.fromarray(make_print(7)).save(project / "a.png")
    trained("export", "reconstruct")
    first = (project / "reconstruct.fpml.zip").read_bytes()
    trained("export", "reconstruct")
    assert (project / "reconstruct.fpml.zip").read_bytes() == first
    trained("reconstruct", "a.png", "--out", "from-run")
    trained("reconstruct", "a.png", "--out", "from-file", "--model", "reconstruct.fpml.zip")
    assert (project / "from-run/a-reconstruction.png").read_bytes() == (project / "from-file/a-reconstruction.png").read_bytes()
    import zipfile

    with zipfile.ZipFile(project / "reconstruct.fpml.zip") as file:
        assert "psnr_mask" in file.read("card.md").decode()
        content = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(project / "bad.zip", "w") as file:
        for name, data in content.items():
            file.writestr(name, data[:-1] + b"x" if name == "weights.safetensors" else data)
    bad = trained("reconstruct", "a.png", "--out", "o", "--model", "bad.zip", code=2).err
    assert "weights.safetensors is not what its SHA-256 says" in bad
    with zipfile.ZipFile(project / "evil.zip", "w") as file:
        file.writestr("../../model.onnx", b"x")
    assert "is not a file of `fpml export`" in trained("reconstruct", "a.png", "--out", "o", "--model", "evil.zip", code=2).err
    assert "not a file of `fpml export`" in trained("reconstruct", "a.png", "--out", "o", "--model", "a.png", code=2).err
