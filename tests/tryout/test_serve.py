"""The command: what it refuses before it serves, and how it ends."""

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fpml.base.errors import FpmlError
from fpml.cli.main import main
from fpml.tryout.models import offered
from tests.conftest import run
from tests.test_docs import tiny_model


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["try", "--no-browser", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    return said


def test_what_it_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert refusal(capsys, "--port", port) == f"fpml: port {port} is taken; give another: --port N (0: any free one)"
    assert "--port is 70000; allowed: 0" in refusal(capsys, "--port", "70000")
    assert "no model 'nothing'" in refusal(capsys, "nothing", "--port", "0")
    tiny_model(tmp_path, "compress")
    assert refusal(capsys, "compress", "--port", "0").endswith(
        "compress gives code; the page tries minutiae, recognise and repair models"
    )


def test_models_are_offered_where_they_can_be_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("recognise", "repair-gated"):
        tiny_model(tmp_path, name)
    found = offered(["recognise", "repair-gated"])
    assert list(found.comparing) == ["minutiae-1", "recognise"]
    assert list(found.finding) == ["minutiae-1"]
    assert list(found.repairing)[-1] == "repair-gated"
    with pytest.raises(FpmlError, match="no model"):
        offered(["elsewhere"])


def test_without_the_extra_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('gone', name='fastapi')", encoding="utf-8")
    code = "import sys; sys.path.insert(0, '.'); from fpml.cli.main import main; sys.exit(main(['try']))"
    said = run(sys.executable, "-c", code, cwd=tmp_path, code=2).stderr
    assert said.strip() == "fpml: this needs fastapi, which is not installed; it comes with fpml's extra [try], see docs/try.md"


def test_it_serves_until_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fpml.cli", "try", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        address = server.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"Look inside" in answer.read()
    finally:
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "")
    assert out.strip().endswith("ended; nothing was kept")
