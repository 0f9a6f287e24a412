from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpml.base.errors import FpmlError
from fpml.data import manifest

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"image_id": TEXTS, "status": st.sampled_from(["ok", "quarantined", "ignored"])},
        optional={"impression": st.integers(0, 10_000), "finger": TEXTS, "dpi": st.floats(50, 5000, width=32), "sensor": TEXTS},
    ),
    min_size=1,
    max_size=20,
)


@given(ROWS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    frame = manifest.table(rows)
    manifest.write(frame, tmp_path / "m.parquet")
    again = manifest.read(tmp_path / "m.parquet")
    assert again.equals(frame)
    assert list(again.columns) == list(manifest.COLUMNS)
    assert sorted(frame["image_id"]) == sorted(str(r["image_id"]) for r in rows)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(FpmlError, match="nail"):
        manifest.table([{"image_id": "a", "nail": 1}])


def test_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(FpmlError, match="run: fpml ingest absent"):
        manifest.read(tmp_path / "absent.parquet")
    (tmp_path / "bad.parquet").write_text("x", encoding="utf-8")
    with pytest.raises(FpmlError, match="not a manifest"):
        manifest.read(tmp_path / "bad.parquet")
