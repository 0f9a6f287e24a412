"""The page of `fpml try` in headless Chromium, and what it asked the network for. FPML_SCREENSHOTS=DIR keeps what was seen."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.test_docs import tiny_model

LOOPBACK = ("127.0.0.1", "localhost")
WIDTHS = pytest.mark.parametrize("width", [1280, 390])


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    tiny_model(tmp_path, "repair-gated")
    command = [sys.executable, "-m", "fpml.cli", "try", "repair-gated", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().split()[0]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert server.returncode == 0


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Chromium, which notes all that it asks the network for."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        chromium = None
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium or playwright is not installed")
        pytest.skip("apt-get install chromium; make .venv/dev")
    log = tmp_path / "network.json"
    # Chromium's sandbox does not run as root, as whom CI tests.
    options = [f"--log-net-log={log}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=options)
        yield opened
        opened.close()
    assert_all_loopback(asked_for(log))


def asked_for(log: Path) -> list[str]:
    """Every address that Chromium asked for on behalf of a page of loopback, by its own log of the network: what the page asked
    for, and what the browser did because of it. (It also asks its makers for updates, whatever it shows.)"""
    noted = json.loads(log.read_text(encoding="utf-8"))
    starts = noted["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [e["params"] for e in noted["events"] if e["type"] == starts and "url" in e.get("params", {})]
    found = [a["url"] for a in asked if "127.0.0.1" in a["network_isolation_key"]]
    assert found
    return found


def assert_all_loopback(addresses: list[str]) -> None:
    elsewhere = [a for a in addresses if urlsplit(a).scheme not in ("data", "blob") and urlsplit(a).hostname not in LOOPBACK]
    assert elsewhere == []


class Visit:
    """One open page, and what it asked for."""

    def __init__(self, browser: Any, address: str, width: int, scheme: str = "light") -> None:
        self.width = width
        self.requests: list[Any] = []
        self.trouble: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        self.context.on("request", lambda request: self.requests.append(request))
        self.page = self.context.new_page()
        self.page.set_default_timeout(90_000)
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready]")

    def seen(self, name: str) -> None:
        """Nothing sticks out of the screen; kept as a picture where one asks for it."""
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width, name
        if folder := os.environ.get("FPML_SCREENSHOTS"):
            self.page.screenshot(path=f"{folder}/{name}-{self.width}.png", full_page=True)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def example(self, slot: str, file: str) -> None:
        self.page.select_option(f"[data-slot={slot}] select", file)
        self.page.wait_for_selector(f"[data-slot={slot}] img[alt^='{file}']")

    def token(self) -> str:
        return next(str(r.headers["fpml-session"]) for r in self.requests if "fpml-session" in r.headers)

    def close(self) -> None:
        self.context.close()
        assert self.trouble == []
        assert_all_loopback([request.url for request in self.requests])


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def come(width: int, scheme: str = "light") -> Visit:
        visits.append(Visit(browser, address, width, scheme))
        return visits[-1]

    yield come
    for one in visits:
        one.close()
