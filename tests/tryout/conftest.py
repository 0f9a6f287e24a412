"""The page with the models that come with fpml, and a repair model of a few operators."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image

from fpml.inference.load import load
from fpml.tryout.app import create_app
from fpml.tryout.models import Models, offered
from fpml.tryout.sessions import Sessions
from fpml.tryout.work import Queue
from tests.test_docs import tiny_model

HERE = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    for name in ("repair-gated", "recognise"):
        tiny_model(folder, name)
    found = offered([])
    found.repairing["repair-gated"] = load(folder / "models" / "repair-gated")
    recognise = load(folder / "models" / "recognise")
    facts = json.loads((folder / "results" / "recognise" / "facts.json").read_text(encoding="utf-8"))
    recognise.facts.update(facts)
    found.comparing["recognise"] = recognise
    return found


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


class Page:
    """One open page."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.token: str = client.post("/api/open").json()["session"]

    def ask(self, path: str, **body: Any) -> Response:
        answer: Any = self.client.post(f"/api/{path}", json=body, headers={"fpml-session": self.token})
        return answer

    def upload(self, content: bytes, name: str = "a.png", slot: str = "inside") -> Response:
        answer: Any = self.client.post(
            f"/api/picture/{slot}", params={"name": name}, content=content, headers={"fpml-session": self.token}
        )
        return answer

    def example(self, slot: str, file: str) -> None:
        assert self.ask(f"example/{slot}", file=file).status_code == 200


@pytest.fixture
def client(models: Models, sessions: Sessions) -> Iterator[TestClient]:
    with TestClient(create_app(models, sessions, Queue()), HERE, headers={"origin": HERE}) as opened:
        yield opened


@pytest.fixture
def page(client: TestClient) -> Page:
    return Page(client)


def as_file(grey: np.ndarray, kind: str = "png") -> bytes:
    stream = BytesIO()
    Image.fromarray(grey).save(stream, format=kind)
    return stream.getvalue()


@pytest.fixture
def opened_files() -> Callable[[], list[str]]:
    """What this process opens to write, from now on."""
    global _watched
    if not _watched:
        sys.addaudithook(_note)  # it can't be taken away again
        _watched = True
    _written.clear()
    return lambda: list(_written)


_written: list[str] = []
_watched = False


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        _written.append(str(arguments[0]))
