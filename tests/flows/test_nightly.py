"""The night's tasks, each alone, in the Prefect test harness."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flows import results
from flows.nightly import promote_task, pull_data
from flows.stages import Children, StageFailed
from tests.conftest import run

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.mark.parametrize("tracked", [True, False])
def test_a_night_takes_upstreams_lock(tmp_path_factory: pytest.TempPathFactory, harness: str, tracked: bool) -> None:
    """Each night writes dvc.lock in its clone; a colleague's new one must not stop the nights after."""
    place = tmp_path_factory.mktemp("team")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    run("git", "init", "-q", "-b", "main", "theirs", cwd=place)
    (place / "theirs" / "dvc.lock" if tracked else place / "theirs" / "other").write_text("first\n", encoding="utf-8")
    run("git", "add", "-A", cwd=place / "theirs")
    run("git", *who, "commit", "-qm", "first", cwd=place / "theirs")
    run("git", "clone", "-q", "theirs", "nights", cwd=place)
    (place / "nights" / "dvc.lock").write_text("of the night\n", encoding="utf-8")
    (place / "theirs" / "dvc.lock").write_text("a colleague's\n", encoding="utf-8")
    run("git", "add", "-A", cwd=place / "theirs")
    run("git", *who, "commit", "-qm", "second", cwd=place / "theirs")
    pull_data(place / "nights", Children())
    assert (place / "nights" / "dvc.lock").read_text(encoding="utf-8") == "a colleague's\n"


def test_a_run_without_a_decision_hides_no_other(tmp_path: Path, harness: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client

    decision: dict[str, Any] = {
        "run": "good", "version": "2", "decision": "promoted", "reason": "it is better", "champion": "1", "gain": None,
        "page": "http://127.0.0.1",
        "metrics": [{"metric": "psnr", "part": "d", "challenger": 2.0, "champion": 1.0, "better": "challenger"}],
    }  # fmt: skip
    said = f"import sys; print({json.dumps(decision)!r}); sys.exit('fpml: no version of bad is challenger')"
    monkeypatch.setattr(results, "fpml", lambda *arguments: [sys.executable, "-c", said])
    with pytest.raises(StageFailed, match="no version of bad"):
        promote_task(tmp_path, Children(), [])
    with get_client(sync_client=True) as client:
        (table,) = [a for a in client.read_artifacts() if a.key == "metrics-good"]
    assert json.loads(table.data)[0]["difference"] == "+1"
