from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import make_print


def test_reconstruct_ones_own_pictures(project: Path, trained: Callable[..., Any]) -> None:
    mine = project / "mine"
    (mine / "deep").mkdir(parents=True)
    Image.fromarray(make_print(7)).save(mine / "a.png")
    Image.fromarray(make_print(8, 200, 180)).convert("RGB").save(mine / "deep" / "a.jpg")
    (mine / "bad.png").write_text("x")
    said = trained("reconstruct", str(mine), "--out", str(project / "out")).out
    assert "bad.png: left out: not a picture" in said
    assert "2 reconstructions" in said
    made = sorted(p.name for p in (project / "out").iterdir())
    assert len(made) == 4
    for name in made:
        picture = np.asarray(Image.open(project / "out" / name))
        assert picture.shape == (32, 32)
        assert picture.dtype == np.uint8
    registered = trained(
        "reconstruct", str(mine / "a.png"), "--out", str(project / "out2"), "--model", "models:/reconstruct@challenger"
    )
    assert "1 reconstructions" in registered.out
    assert (project / "out2/a-reconstruction.png").read_bytes() == (project / "out/a-reconstruction.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.png", "--out", "o"], "absent.png is not there"),
        (["raw/other", "--out", "o", "--model", "nothing"], "no model 'nothing'"),
        (["raw/other", "--out", "o", "--model", "models:/nothing@challenger"], "can't be had"),
        (["raw/other", "--out", "o", "--dpi", "5"], "--dpi is 5"),
        (["params.yaml", "--out", "o"], "none of the 1 pictures"),
        (["void", "--out", "o"], "void has no pictures"),
        (["raw/other", "--out", "params.yaml"], "--out is params.yaml, a file"),
    ],
)
def test_bad_input(project: Path, trained: Callable[..., Any], arguments: list[str], words: str) -> None:
    (project / "void").mkdir()
    assert words in trained("reconstruct", *arguments, code=2).err
