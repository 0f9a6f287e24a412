from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import rotate

from fpml.data.ingest import ingest
from fpml.settings.sections import Dataset, Ingest
from fpml.synth import alter as alterations
from fpml.synth.alter import ALTERATIONS, LEVELS, alter
from fpml.synth.generate import generate
from fpml.synth.sensors import SENSORS
from fpml.synth.write import Plan, write_prints


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    whole: np.ndarray = generate(1, 1, "socofing", 3).pictures[0]
    return whole[2:-4, 2:-4]


@pytest.mark.parametrize("kind", ALTERATIONS)
def test_alterations_change_a_part_that_grows_with_the_level(picture: np.ndarray, kind: str) -> None:
    shares = [(alter(picture, kind, level, np.random.default_rng(4)) != picture).mean() for level in LEVELS]
    assert 0.01 < shares[0] < shares[1] < shares[2] < 0.6


def square(picture: np.ndarray, altered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What was there and what is there now, in the smallest rectangle that holds all that changed."""
    y, x = np.nonzero(altered != picture)
    box = np.s_[y.min() : y.max() + 1, x.min() : x.max() + 1]
    return picture[box].astype(float), altered[box].astype(float)


def best_turn(before: np.ndarray, after: np.ndarray, angles: Iterable[int]) -> tuple[float, int]:
    """How alike (-1 to 1) their middles are at best after a turn by one of these angles (degrees), and by which."""
    height, width = before.shape
    middle = np.s_[height // 4 : -height // 4, width // 4 : -width // 4]
    found = []
    for angle in angles:
        turned = rotate(before, angle, reshape=False, order=1)
        for shift in product((-1, 0, 1), repeat=2):  # the rectangle may lie a pixel beside what was turned
            found.append(
                (float(np.corrcoef(np.roll(turned, shift, (0, 1))[middle].ravel(), after[middle].ravel())[0, 1]), angle)
            )
    return max(found)


@pytest.mark.parametrize("seed", range(4))
def test_a_central_rotation_turns_a_disc(picture: np.ndarray, seed: int) -> None:
    before, after = square(picture, alter(picture, "CR", "Hard", np.random.default_rng(seed)))
    corner = before.shape[0] // 8
    assert (before[:corner, :corner] == after[:corner, :corner]).all()  # it lies outside the disc
    likeness, angle = best_turn(before, after, range(-180, 180, 3))
    assert likeness > 0.8
    assert 30 < abs(angle) < 130  # 0.6 to 2.2 radians


@pytest.mark.parametrize("seed", range(4))
def test_an_obliteration_leaves_no_ridge_to_follow(picture: np.ndarray, seed: int) -> None:
    before, after = square(picture, alter(picture, "Obl", "Hard", np.random.default_rng(seed)))
    assert best_turn(before, after, range(-180, 180, 3))[0] < 0.6


@pytest.mark.parametrize("seed", range(4))
def test_a_z_cut_turns_a_square_by_half_a_circle_and_scars_white(picture: np.ndarray, seed: int) -> None:
    before, after = square(picture, alter(picture, "Zcut", "Hard", np.random.default_rng(seed)))
    likeness, angle = best_turn(before, after, range(-180, 180, 3))
    assert likeness > 0.6  # the cut across it is no part of what was there
    assert abs(angle) > 174
    scar = after == 235
    assert scar[0].mean() > 0.7  # the upper rim
    assert np.mean([scar[row, -row - 1] for row in range(len(scar) // 4, len(scar) * 3 // 4)]) > 0.5  # from corner to corner


def negative(picture: np.ndarray, *_: object) -> np.ndarray:
    return 255 - picture


def written(folder: Path) -> dict[str, bytes]:
    write_prints(folder, Plan(7, 2, 1, (SENSORS["socofing"],), "socofing"), 1)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.BMP")}


def test_another_kind_changes_no_other_kind_s_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does another level; and the new ones are read as all are."""
    before = written(tmp_path / "before")
    assert len(before) == 2 * (1 + len(LEVELS) * len(ALTERATIONS)) == len(set(before.values()))
    monkeypatch.setattr(alterations, "ALTERATIONS", {"Neg": negative, **ALTERATIONS})
    after = written(tmp_path / "after")
    assert {file: after[file] for file in before} == before
    assert {file for file in after if file not in before} == {
        f"Altered/Altered-{level}/1__F_Left_{digit}_finger_Neg.BMP" for level in LEVELS for digit in ("thumb", "index")
    }
    frame = ingest("s", Dataset("after", "socofing", 180.0, ""), Ingest(max_pixels=1_000_000, max_quarantined=0), tmp_path)
    assert set(frame["alteration"].dropna()) == {"Neg", *ALTERATIONS}
    monkeypatch.setattr(alterations, "LEVELS", {"Faint": 0.1, **LEVELS})
    assert {file: bytes_ for file, bytes_ in written(tmp_path / "more").items() if file in before} == before


def test_each_print_is_altered_in_its_own_way(picture: np.ndarray) -> None:
    def copies(seed: int, finger: int) -> list[bytes]:
        return [altered.tobytes() for _, _, altered in alterations.altered_copies(picture, seed, finger)]

    assert copies(1, 2) == copies(1, 2)
    everything = [*copies(1, 2), *copies(2, 1), *copies(12, 1), *copies(1, 21)]
    assert len(set(everything)) == len(everything)
