"""Pictures that are uploaded: bad ones do no harm, good ones stay in memory, and all are forgotten."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpml.tryout.pictures import example
from fpml.tryout.sessions import IDLE, MOST, ROOM, Forgotten, Sessions
from tests.tryout.conftest import Clock, Page, as_file

GREY = example("a-1.png").grey


def bomb(width: int, height: int) -> bytes:
    """A PNG of this size whose pixels can't be decoded: whoever tries says so."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"no pixels") + chunk(b"IEND", b"")


BAD = {
    "bomb.png": (bomb(5001, 5000), "too large: 5001 x 5000 pixels, the limit is 25000000"),
    "larger.png": (bomb(60_000, 60_000), "too large"),
    "text.png": (b"this is no picture\n" * 9, "not a picture, whatever its name says"),
    "empty.png": (b"", "empty file (0 bytes)"),
    "cut.png": (as_file(GREY)[:-4000], "truncated or damaged"),
    "white.gif": (as_file(np.full((99, 99), 255, np.uint8), "gif"), "constant: every pixel has the same grey"),
    "small.png": (as_file(GREY[:8, :8]), "too small: 8 x 8 pixels"),
    "phone.heic": (as_file(GREY), ".heic is not read here: save it as PNG or TIFF"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_get_the_commands_own_line(page: Page, name: str) -> None:
    content, reason = BAD[name]
    answer = page.upload(content, name)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{name}: {reason}")
    assert "print to look inside is missing" in page.ask("inside", model="minutiae-1").json()["error"]
    assert page.upload(as_file(GREY)).status_code == 200


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "tiff", "webp"])
def test_pictures_of_many_kinds_are_taken(page: Page, kind: str) -> None:
    said = page.upload(as_file(GREY, kind), f"a.{kind}").json()
    assert (said["width"], said["height"]) == (260, 300)
    assert said["png"].startswith("data:image/png;base64,")


def test_the_dpi_is_guessed_by_the_ridges(page: Page) -> None:
    usual = page.upload(as_file(GREY)).json()
    assert usual["dpi"] == 500
    assert usual["why"].startswith("what most sensors have; the ridges tell about ")
    twice = np.asarray(Image.fromarray(GREY).resize((520, 600)))
    fine = page.upload(as_file(twice)).json()
    assert fine["dpi"] == pytest.approx(1000, rel=0.15)
    assert "guessed by the ridges" in fine["why"]
    noise = np.random.default_rng(0).integers(250, 255, (90, 90), dtype=np.uint8)
    assert "no ridges are seen" in page.upload(as_file(noise)).json()["why"]


def test_an_upload_never_touches_the_disk(page: Page, opened_files: Callable[[], list[str]], tmp_path: Path) -> None:
    """A form's parser keeps what is over a megabyte in a temporary file."""
    large = np.random.default_rng(0).integers(0, 255, (1100, 1100), dtype=np.uint8)
    content = as_file(large, "bmp")
    assert len(content) > 2**20
    assert page.upload(content, "large.bmp").status_code == 200
    assert page.upload(as_file(GREY)).status_code == 200
    assert page.ask("inside", model="minutiae-1", dpi=500).status_code == 200
    assert opened_files() == []
    (tmp_path / "seen").write_bytes(b"what would be seen")
    assert opened_files() == [str(tmp_path / "seen")]


def test_a_closed_page_is_forgotten(page: Page, sessions: Sessions) -> None:
    page.upload(as_file(GREY))
    assert len(sessions) == 1
    assert page.client.post("/api/close", content=page.token).status_code == 204
    assert len(sessions) == 0
    answer = page.ask("inside", model="minutiae-1")
    assert answer.status_code == 410
    assert "this page is forgotten" in answer.json()["error"]
    assert page.client.post("/api/close", content=b"\xff nobody's").status_code == 204


def test_an_idle_page_is_forgotten(page: Page, sessions: Sessions, clock: Clock) -> None:
    page.upload(as_file(GREY))
    clock.now += IDLE - 1
    assert page.ask("enrolled", model="minutiae-1").status_code == 200  # which counts as use
    clock.now += IDLE - 1
    sessions.forget_the_idle()
    assert len(sessions) == 1
    clock.now += 2
    sessions.forget_the_idle()  # as the server does by itself
    assert len(sessions) == 0


def test_pages_see_nothing_of_each_other(page: Page) -> None:
    other = Page(page.client)
    page.upload(as_file(GREY))
    assert "missing" in other.ask("inside", model="minutiae-1").json()["error"]
    other.token = "guessed"
    assert other.ask("inside", model="minutiae-1").status_code == 410


def test_there_is_room_for_so_many(sessions: Sessions) -> None:
    first, *_ = tokens = [sessions.open() for _ in range(MOST)]
    sessions.get(first)  # used since
    sessions.open()
    assert len(sessions) == MOST
    assert first in sessions
    assert tokens[1] not in sessions
    session = sessions.get(first)
    huge = np.broadcast_to(np.uint8(0), (2**15, ROOM // 2**15 // 2 + 1))
    for slot in ("first", "second"):
        session.pictures[slot] = example("a-1.png").__class__("huge", huge, 500, "")
    sessions.make_room()
    assert len(sessions) == 1
    with pytest.raises(Forgotten):
        sessions.get(tokens[2])


def test_a_name_is_shown_without_what_can_t_be(page: Page) -> None:
    assert page.upload(as_file(GREY), "\0../é\n<b>.png" + "x" * 200).json()["name"] == ("../é<b>.png" + "x" * 200)[:120]
    assert page.upload(as_file(GREY), "").json()["name"] == "picture"


def test_a_slot_holds_one_picture(page: Page, sessions: Sessions) -> None:
    for _ in range(3):
        page.upload(as_file(GREY))
    assert sessions.get(page.token).size == GREY.size
    assert "no place 'elsewhere'" in page.upload(as_file(GREY), slot="elsewhere").json()["error"]
