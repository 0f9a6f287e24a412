"""A registered model over HTTP, by MLflow's own server and ONNX Runtime: right answers, and bad requests that do no harm."""

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil
import pytest

from infra.local.services import Services
from tests.ops.conftest import command, the_run, until

SIDE = 32


@pytest.fixture
def server(team_project: Path, team: Services, unused_port: int) -> Iterator[str]:
    name = the_run(team_project)
    command("dvc", "repro", f"evaluate@{name}", cwd=team_project)
    serve = ["-m", "mlflow", "models", "serve", "-m", f"models:/{name}@challenger", "--env-manager", "local"]
    with (team_project / "serve.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, *serve, "--host", "127.0.0.1", "--port", str(unused_port)], cwd=team_project,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    address = f"http://127.0.0.1:{unused_port}"
    try:
        until(lambda: process.poll() is not None or status(f"{address}/ping") == 200, 90, "the model server")
        assert process.poll() is None, (team_project / "serve.log").read_text(encoding="utf-8")
        yield address
    finally:
        family = (
            [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            if process.poll() is None
            else []
        )
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # it went with its parent
                one.terminate()
        psutil.wait_procs(family, 20)
        process.wait(20)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


def ask(server: str, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
    request = urllib.request.Request(f"{server}/invocations", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def as_json(prints: np.ndarray) -> bytes:
    return json.dumps({"inputs": {"prints": prints.tolist()}}).encode()


def test_a_served_model(server: str, team_project: Path) -> None:
    session = onnxruntime.InferenceSession(team_project / "models" / the_run(team_project) / "model.onnx")
    rng = np.random.default_rng(0)
    for count in (1, 3):  # a batch of any size
        prints = rng.integers(0, 255, (count, 1, SIDE, SIDE), dtype=np.uint8)
        code, answer = ask(server, as_json(prints))
        assert code == 200, answer
        given = np.array(answer["predictions"]["reconstruction"], np.float32)
        np.testing.assert_allclose(given, session.run(["reconstruction"], {"prints": prints})[0], atol=1e-5)

    one = rng.integers(0, 255, (1, 1, SIDE, SIDE), dtype=np.uint8)
    bad = {
        "no JSON": (b"hello", "application/json"),
        "a picture where numbers are expected": (b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png"),
        "another size": (as_json(one[..., :16]), "application/json"),
        "text for numbers": (json.dumps({"inputs": {"prints": "a print"}}).encode(), "application/json"),
        "levels beyond 255": (as_json(one.astype(int) + 1000), "application/json"),
        "another input's name": (json.dumps({"inputs": {"image": one.tolist()}}).encode(), "application/json"),
        "far too large": (b'{"inputs": {"prints": [' + b"[[1]]," * 4_000_000 + b"[[1]]]}}", "application/json"),
    }
    for name, (body, kind) in bad.items():
        code, answer = ask(server, body, kind)
        assert 400 <= code < 500, (name, code, str(answer)[:300])
        assert status(f"{server}/ping") == 200, name

    with ThreadPoolExecutor(100) as many:
        codes = list(many.map(lambda _: ask(server, as_json(one))[0], range(1000)))
    assert set(codes) <= {200, 429, 503}
    assert codes.count(200) > 0
    assert status(f"{server}/ping") == 200
