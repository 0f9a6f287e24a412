import gzip
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fpml.base.errors import FpmlError
from fpml.data import get
from tests.conftest import make_print


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder that a server on loopback offers, and its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    folder = tmp_path_factory.mktemp("offered")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def offer(server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, *files: get.File) -> None:
    monkeypatch.setattr(get, "PUBLIC", {"small": get.Public("Terms of the small set.", files, "--reader idx")})


def test_terms_are_shown_and_the_files_checked(
    project: Path, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, fpml: Callable[..., Any]
) -> None:
    folder, url = server
    content = gzip.compress(b"pictures")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    file = get.File(f"{url}/train-images-idx3-ubyte.gz", hashlib.md5(content).hexdigest())
    offer(server, monkeypatch, file)
    said = fpml("data", "get", "small", "--yes").out
    assert "Terms of the small set." in said
    assert "fpml data add small data/downloads/small --reader idx" in said
    assert (project / "data/downloads/small/train-images-idx3-ubyte.gz").read_bytes() == content
    assert "is there already" in fpml("data", "get", "small", "--yes", code=2).err
    with pytest.raises(FpmlError, match="not agreed to"):
        get.get("small", project / "b", False, lambda question: "no")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content + b"x")
    assert "its MD5 differs" in fpml("data", "get", "small", "--out", "c", "--yes", code=2).err
    offer(server, monkeypatch, get.File(f"{url}/away.gz", "0"))
    assert "can't be fetched" in fpml("data", "get", "small", "--out", "d", "--yes", code=2).err
    assert not [p for p in ("b", "c", "d") if (project / p).exists()]


def test_an_archive_stays_in_its_folder(
    project: Path, server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from PIL import Image

    folder, url = server
    buffer = io.BytesIO()
    Image.fromarray(make_print(1)).save(buffer, "tiff")
    with zipfile.ZipFile(folder / "DB1_B.zip", "w") as archive:
        archive.writestr("../../101_1.tif", buffer.getvalue())
        archive.writestr("/etc/101_2.tif", buffer.getvalue())
        archive.writestr("readme.txt", "x")
    expected = tmp_path / "expected"
    expected.mkdir()
    for name in ("101_1.tif", "101_2.tif"):
        (expected / name).write_bytes(buffer.getvalue())
    offer(server, monkeypatch, get.File(f"{url}/DB1_B.zip", get.digest_of(expected), "DB1_B"))
    get.get("small", project / "got", True)
    assert sorted(p.name for p in (project / "got").rglob("*.tif")) == ["101_1.tif", "101_2.tif"]
    assert get.digest_of(project / "got/DB1_B") == get.digest_of(expected)
    offer(server, monkeypatch, get.File(f"{url}/DB1_B.zip", "0", "DB1_B"))
    with pytest.raises(FpmlError, match="SHA-256 differs"):
        get.get("small", project / "other", True)
    (folder / "DB1_B.zip").write_bytes(b"no archive")
    with pytest.raises(FpmlError, match="is not an archive of pictures"):
        get.get("small", project / "other", True)
    assert not (project / "other").exists()


def test_sets_that_need_an_account_say_what_to_do() -> None:
    with pytest.raises(FpmlError, match="--reader socofing --dpi 180"):
        get.get("socofing", Path("x"), True)
    with pytest.raises(FpmlError, match="there are: mnist, fashion-mnist, fvc2002-b, socofing, polyu, fvc2002"):
        get.get("nist", Path("x"), True)
