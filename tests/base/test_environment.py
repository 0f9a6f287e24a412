"""Places where fpml is not at home: behind a proxy, without a home or a name, in an ASCII terminal."""

import ast
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fpml.admin import doctor
from fpml.base import environment
from fpml.base.environment import make_ready, through_proxy, undisturbed
from fpml.settings.sections import Tracking
from fpml.tracking import runs as tracking
from tests.conftest import REPOSITORY, run

NOWHERE = "http://user:secret@127.0.0.1:9"
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.fixture(autouse=True)
def surroundings() -> Iterator[None]:
    """The environment as it is, without proxies; put back afterwards."""
    before = dict(os.environ)
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def answering() -> Iterator[str]:
    """A server on loopback that says yes to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", environment.PROXIES)
@pytest.mark.parametrize("known", [{}, {"no_proxy": "intern"}, {"NO_PROXY": "intern"}, {"no_proxy": "*"}])
def test_loopback_goes_past_every_proxy(answering: str, name: str, known: dict[str, str]) -> None:
    os.environ.update({name: NOWHERE, **known})
    code = f"""
from fpml.base.environment import make_ready; make_ready()
import urllib.request, requests, httpx
print(*(r.read().decode() + "read" for r in [urllib.request.urlopen("{answering}")]))
print(requests.get("{answering}").status_code, httpx.get("{answering}").status_code)
"""
    assert run(sys.executable, "-c", code, cwd=REPOSITORY).stdout.split() == ["read", "200", "200"]
    make_ready()
    make_ready()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"]
    assert os.environ["no_proxy"].split(",").count("127.0.0.1") == ("*" not in known.values())
    assert through_proxy("http://intern/") == (
        "" if known or name.lower() == "https_proxy" else " through the proxy 127.0.0.1:9"
    )


@pytest.mark.parametrize("proxy", [NOWHERE, "socks5://127.0.0.1:9"])
def test_flows_reach_a_server_on_loopback(answering: str, proxy: str) -> None:
    code = f"import flows, httpx; print(httpx.get('{answering}').status_code, flows.WITHHELD)"
    said = run(sys.executable, "-c", code, cwd=REPOSITORY, env=dict.fromkeys(("ALL_PROXY", "http_proxy"), proxy)).stdout
    assert said.startswith("200 ")
    assert ("ALL_PROXY" in said) == proxy.startswith("socks")  # its stages get it all the same


def test_mlflow_on_loopback_answers_behind_a_proxy(project: Path, answering: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["HTTP_PROXY"] = NOWHERE
    tracking.connect(Tracking(answering, "fpml", "none"))
    assert "does not answer" not in capsys.readouterr().err


def test_a_proxy_in_the_way_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["HTTP_PROXY"] = NOWHERE
    assert tracking.connect(Tracking("http://10.9.8.7:5000", "fpml", "none")) is None
    os.environ["PREFECT_API_URL"] = "http://10.9.8.7:4200/api"
    ((_, text),) = doctor._prefect()
    for said in (capsys.readouterr().err, text):
        assert "through the proxy 127.0.0.1:9 does not answer" in said
        assert "secret" not in said


def test_the_services_are_asked_past_every_proxy(answering: str, tmp_path: Path) -> None:
    from infra.local.service import status
    from infra.local.services import Services

    os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = NOWHERE
    assert status(answering) == 200
    sourced = f". {Services(tmp_path).write_environment()}; echo $no_proxy"
    assert "127.0.0.1" in run("sh", "-c", sourced, cwd=tmp_path).stdout


@pytest.mark.parametrize("given", [{"HOME": "/proc/nonexistent"}, {"HOME": "/dev/null"}, {"PREFECT_HOME": "/proc/nonexistent"}])
def test_a_home_that_cannot_be_written_to(project: Path, capsys: pytest.CaptureFixture[str], given: dict[str, str]) -> None:
    os.environ.update(given)
    make_ready()
    (name,) = given
    assert os.environ[name].startswith(f"{project}/.fpml/home")
    assert os.access(os.environ[name], os.W_OK)
    said = capsys.readouterr().err
    assert given[name] in said
    assert said.count("\n") == 1
    make_ready()
    assert capsys.readouterr().err == ""


def test_a_sound_home_stays(
    project: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    before = dict(os.environ)
    make_ready()
    set_for_all = ("no_proxy", "NO_PROXY", "OMP_WAIT_POLICY")
    assert {k: v for k, v in os.environ.items() if k not in set_for_all} == {
        k: v for k, v in before.items() if k not in set_for_all
    }
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    assert capsys.readouterr().err == ""
    assert not (project / ".fpml" / "home").exists()


def test_outside_a_project_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.environ["HOME"] = "/proc/nonexistent"
    make_ready()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("home", [None, "/"])
def test_a_user_who_is_only_a_number(home: str | None) -> None:
    """As in a container: no name, and no home or one that is root's."""
    place = Path(tempfile.mkdtemp())
    (place / "params.yaml").touch()
    shutil.chown(place, 12345)
    code = """
import getpass, os, matplotlib
from fpml.base import environment
os.setgroups([]); os.setuid(12345)
environment.make_ready()
print(getpass.getuser(), os.path.isabs(os.path.expanduser("~")))
for name in environment.KEPT:
    os.makedirs(os.path.expanduser(os.environ.get(name) or environment.KEPT[name]), exist_ok=True)
matplotlib.get_cachedir()
"""
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME")}
    env["PYTHONPATH"] = str(REPOSITORY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=place, env=env if home is None else {**env, "HOME": home},
            capture_output=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["12345", "True"]
        assert done.stderr.count(str(place / ".fpml" / "home")) == 1
    finally:
        shutil.rmtree(place)


def test_in_an_ascii_terminal(project: Path, change_params: Callable[..., None]) -> None:
    model, card = project / "models" / "reconstruct", project / "docs" / "recipes" / "reconstruct.md"
    for folder in (model, card.parent):
        folder.mkdir(parents=True)
    for part in ("model.onnx", "weights.safetensors"):
        (model / part).touch()
    size = {"height": 32, "width": 32, "dpi": 500, "crop": "none"}
    config = {"task": "reconstruct", "model": "autoencoder", "settings": {}, "parameters": 1, "classes": [], "input": size}
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    card.write_text("4×4 – ü", encoding="utf-8")
    run(
        sys.executable,
        "-m",
        "fpml.cli",
        "export",
        "reconstruct",
        cwd=project,
        env={**ASCII, "PYTHONPATH": str(REPOSITORY)},
    )
    change_params("datasets.other.path", "raw/ü")
    said = run(sys.executable, "-m", "fpml.cli", "data", "list", cwd=project, env={**ASCII, "PYTHONPATH": str(REPOSITORY)})
    assert "raw/\\xfc" in said.stdout


def test_every_text_file_is_opened_with_its_encoding() -> None:
    """Ruff sees it only where it knows that something is a path."""
    for file in [f for folder in ("fpml", "flows", "infra", "docs") for f in (REPOSITORY / folder).rglob("*.py")]:
        for call in [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]:
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            told = any(keyword.arg == "encoding" for keyword in call.keywords)
            assert told or name not in ("read_text", "write_text"), f"{file}:{call.lineno}: encoding=?"


@pytest.mark.parametrize("number", environment.INTERRUPTS)
def test_a_transaction_is_ended_before_an_interrupt(number: signal.Signals) -> None:
    kept = signal.getsignal(signal.SIGTERM)
    environment.heed_signals()
    done = []

    @undisturbed()
    def transaction(signals: int) -> None:
        for _ in range(signals):
            signal.raise_signal(number)
        done.append(signals)

    try:
        with pytest.raises(KeyboardInterrupt):
            transaction(1)
        with pytest.raises(KeyboardInterrupt):
            transaction(2)  # who asks twice does not wait
        assert done == [1]
        transaction(0)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, kept)


def test_outside_the_main_thread_interrupts_are_left_alone() -> None:
    done: list[object] = []

    def work() -> None:
        with undisturbed():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGINT)]


FILL_ANEW = """
import resource, torch
from fpml.base.environment import keep_memory
{first}
for _ in range(20):  # until there is a place that fits, between what else is kept
    torch.ones(10_000_000)  # 40 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_a_tensor_leaves_is_kept_for_the_next_one() -> None:
    """A page that is given back is cleared and mapped anew: a fault for each."""
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", FILL_ANEW.format(first=first)], capture_output=True, check=True).stdout)
        for first in ("", "keep_memory()")
    )
    assert given_back > 100  # whole megabytes a fault, where the kernel has huge pages
    assert kept < given_back / 10
