from pathlib import Path

import numpy as np
import pytest

import fpml
from fpml.base.errors import FpmlError
from fpml.base.shipped import shipped
from fpml.inference import pattern
from fpml.inference.minutiae import Look, look
from fpml.inference.pattern import CLASSES, SIDE, flow, patterns, told
from fpml.matching.template import from_table
from fpml.synth.field import CLASS_SHARES
from fpml.synth.generate import generate


def seen(orientation: np.ndarray, skin: np.ndarray) -> Look:
    empty = from_table(np.empty((0, 5)), 8 * skin.shape[1], 8 * skin.shape[0])
    return Look(empty, orientation, np.full(skin.shape, 9.0), skin.astype(np.float32), 1.0, 500, False)


def test_the_classes_are_the_generator_s() -> None:
    assert tuple(CLASS_SHARES) == CLASSES


def test_a_flow_has_the_skin_in_its_middle_and_nothing_beside_it() -> None:
    skin = np.zeros((90, 60), bool)
    skin[4:44, 30:58] = True
    found = flow(seen(np.full(skin.shape, 0.6, np.float32), skin))
    assert found.shape == (3, SIDE, SIDE)
    assert found[2].sum() == pytest.approx(20 * 14, abs=40)
    assert np.argwhere(found[2]).mean(0) == pytest.approx(((SIDE - 1) / 2,) * 2, abs=1)
    there = found[2] > 0
    np.testing.assert_allclose(found[:2, there].T, [[np.cos(1.2), np.sin(1.2)]] * int(there.sum()), atol=1e-5)
    assert not found[:, ~there].any()
    assert not flow(seen(np.zeros((20, 20), np.float32), np.zeros((20, 20), bool))).any()


def test_generated_prints_are_told() -> None:
    model, right, count = fpml.load("minutiae-1"), 0, 0
    for sensor in ("fvc2002-db2", "random-7"):
        prints = generate(8, 1, sensor, 21, "normal", device="cpu")
        looks = [look(model, picture, prints.sensor.dpi) for picture in prints.pictures]
        chances = patterns(looks)
        np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
        said = [CLASSES[k] for k in chances.argmax(1)]
        right += sum(s == finger.pattern for s, finger in zip(said, prints.fingers, strict=True))
        count += len(said)
        assert told(looks[0]) == f"{said[0]} ({chances[0].max():.0%})"
    assert right >= count - 1
    assert patterns([]).shape == (0, 5)


def test_a_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in pattern.FOLDER.iterdir():
        content = bytearray(file.read_bytes())
        if file.suffix == ".onnx":
            content[-1] ^= 1
        (tmp_path / file.name).write_bytes(content)
    monkeypatch.setattr(pattern, "FOLDER", tmp_path)
    pattern._session.cache_clear()
    with pytest.raises(FpmlError, match="is not the one that its card"):
        patterns([seen(np.zeros((20, 20), np.float32), np.ones((20, 20), bool))])
    pattern._session.cache_clear()


def test_without_skin_there_is_no_pattern_and_it_is_no_model_of_its_own() -> None:
    assert told(seen(np.zeros((20, 20), np.float32), np.zeros((20, 20), bool))) == "no pattern"
    assert pattern.NAME not in shipped()
    with pytest.raises(FpmlError, match="no model 'pattern-1'"):
        fpml.load(pattern.NAME)
