import json
from pathlib import Path

import pytest

from fpml.base.errors import FpmlError
from fpml.base.shipped import SHIPPED, as_shipped, card_of


def test_what_comes_with_the_package_is_what_its_cards_describe() -> None:
    files = [p for p in SHIPPED.glob("*-*/*") if p.suffix in (".onnx", ".safetensors")]
    assert len(files) == len(list(SHIPPED.glob("*-*/card.json")))
    for file in files:
        assert as_shipped(file)
        assert card_of(file.parent)["name"] == file.parent.name


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"sha256": "0" * 64}), encoding="utf-8")
    (tmp_path / "model.onnx").write_bytes(b"other")
    with pytest.raises(FpmlError, match="install fpml anew"):
        as_shipped(tmp_path / "model.onnx")
