import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpml.alteration.apply import apply
from fpml.base.errors import FpmlError
from fpml.data.ingest import ingest
from fpml.settings.sections import Dataset, Ingest
from fpml.synth import alter as alterations
from fpml.synth.alter import DRAWN, LEVELS
from fpml.synth.generate import generate
from fpml.synth.sensors import SENSORS
from fpml.synth.truth import Truth
from fpml.synth.write import FRAME, Plan, write_prints


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    whole: np.ndarray = generate(1, 1, "socofing", 3).pictures[0]
    return whole[FRAME]


def written(folder: Path) -> dict[str, bytes]:
    write_prints(folder, Plan(7, 2, 1, (SENSORS["socofing"],), "socofing"), 1)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.BMP")}


def test_another_kind_changes_no_other_kind_s_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does another level; and the new ones are read as all are."""
    before = written(tmp_path / "before")
    assert len(before) == 2 * (1 + len(LEVELS) * len(DRAWN)) == len(set(before.values()))
    monkeypatch.setattr(alterations, "LEVELS", ("Hard", "Easy"))
    after = written(tmp_path / "after")
    assert len(after) == 2 * (1 + 2 * len(DRAWN))
    assert {file: before[file] for file in after} == after
    frame = ingest("s", Dataset("after", "socofing", 180.0, ""), Ingest(max_pixels=1_000_000, max_quarantined=0), tmp_path)
    assert set(frame["alteration"].dropna()) == set(DRAWN)


def test_the_truth_of_an_altered_copy_makes_it_again(tmp_path: Path) -> None:
    files = written(tmp_path / "made")
    truth = Truth(tmp_path / "made")
    copies = [file for file in files if file.startswith("Altered")]
    assert set(copies) == set(truth.alterations.index)
    for file in copies:
        real = np.asarray(Image.open(tmp_path / "made" / str(truth.alterations.loc[file, "source"])))[FRAME]
        altered = np.asarray(Image.open(tmp_path / "made" / file))[FRAME]
        again, damage = apply(real, truth.alteration(file))
        np.testing.assert_array_equal(again, altered)
        assert (altered == real)[~damage].all()
        assert json.loads(str(truth.alterations.loc[file, "said"]))["kind"] == file.removesuffix(".BMP").rpartition("_")[2]
    with pytest.raises(FpmlError, match="no altered copy"):
        truth.alteration("Real/nobody.BMP")


def test_each_print_is_altered_in_its_own_way(picture: np.ndarray) -> None:
    def copies(seed: int, finger: int) -> list[bytes]:
        return [altered.tobytes() for _, _, altered in alterations.altered_copies(picture, seed, finger, 180)]

    assert copies(1, 2) == copies(1, 2)
    everything = [*copies(1, 2), *copies(2, 1), *copies(12, 1), *copies(1, 21)]
    assert len(set(everything)) == len(everything)
