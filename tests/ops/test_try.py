"""The page of `fpml try` in headless Chromium: by clicks and by the keyboard alone, on a screen and on a phone. Nothing may
leave loopback. FPML_SCREENSHOTS=DIR keeps what was seen."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fpml.matching import formats
from fpml.tryout.pictures import EXAMPLES
from tests.ops.conftest import until
from tests.test_docs import tiny_model

WIDTHS = pytest.mark.parametrize("width", [1280, 390])
LOOPBACK = ("127.0.0.1", "localhost")


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
        pytest.skip("apt-get install chromium; make .venv/ready")
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


@WIDTHS
def test_fingers_by_clicks(visit: Callable[..., Visit], width: int) -> None:
    here = visit(width)
    page = here.page
    page.set_input_files("[data-slot=first] input[type=file]", EXAMPLES / "a-1.png")
    page.wait_for_selector("[data-slot=first] img[alt^='a-1.png']")
    assert "the ridges tell about" in here.text("[data-slot=first] .why")
    assert page.input_value("[data-slot=first] .dpi input") == "500"
    here.example("second", "a-2.png")
    page.click("#compare .go")
    page.wait_for_selector("#compare .about")
    assert here.text("#compare .verdict") == "The same finger"
    said = here.text("#compare .result")
    for part in (
        "Score 0.",
        "threshold 0.",
        "FMR 0.10%",
        "impostor pairs",
        "minutiae-1 (version 1",
        "trained on",
        "Computed in",
    ):
        assert part in said
    joined = page.locator("#compare line.join").count()
    assert joined >= 4
    assert page.locator("#compare .paired").count() == 2 * joined
    here.seen("compare")
    here.example("second", "b-1.png")
    page.click("#compare .go")
    page.wait_for_selector("#compare .verdict.no")
    assert here.text("#compare .verdict") == "Not the same finger"

    page.click("#tab-who")
    for file, finger in (("a-1.png", "Anna"), ("b-1.png", "Ben")):
        here.example("enrol", file)
        page.fill("#who [name=finger]", finger)
        page.click("#who .enrol .go")
        page.wait_for_selector(f"#who .gallery td:text-is('{finger}')")
    here.example("probe", "b-2.png")
    page.click("#who .identify .go")
    page.wait_for_selector("#who .result .about")
    assert here.text("#who .verdict") == "Ben"
    assert page.locator("#who .result tbody tr").first.inner_text().split()[:2] == ["1", "Ben"]
    here.seen("who")
    page.click("#who .gallery button")
    page.wait_for_selector("#who .gallery", state="hidden")


@WIDTHS
def test_prints_by_clicks(visit: Callable[..., Visit], width: int) -> None:
    here = visit(width)
    page = here.page
    page.click("#tab-repair")
    here.example("repair", "c-180dpi-altered.png")
    page.select_option("#repair [name=model]", "repair-gated")
    page.click("#repair .go")
    page.wait_for_selector("#repair .about")
    shown = page.locator("#repair clipPath rect")
    half = float(shown.get_attribute("width"))
    page.fill("#repair input[type=range]", "100")
    assert float(shown.get_attribute("width")) == pytest.approx(2 * half)
    here.seen("repair")

    page.click("#tab-make")
    page.wait_for_selector("#make [name=sensor] option[value], #make [name=sensor] option", state="attached")
    page.select_option("#make [name=pattern]", "whorl")
    page.select_option("#make [name=condition]", "dry")
    page.select_option("#make [name=kind]", index=1)
    page.click("#make .go")
    page.wait_for_selector("#make .about")
    assert page.locator("#make figure").count() == 2
    assert "class whorl" in here.text("#make .result")
    for layer in ("ridge flow", "ridge period", "where no skin touched"):
        page.get_by_label(layer).locator("visible=true").check()
    here.seen("make")
    with page.expect_download() as waiting:
        page.click("#make .zip")
    content = Path(waiting.value.path()).read_bytes()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert waiting.value.suggested_filename == "made-7.zip"
    assert {"secugen/1_1.png", "truth/synth.json", "command.txt"} < set(names)

    page.click("#tab-inside")
    here.example("inside", "a-3.png")
    page.click("#inside .go")
    page.wait_for_selector("#inside .about")
    found = page.locator("#inside .found").count()
    assert found > 10
    page.get_by_label("orientation field").check()
    assert page.locator("#inside .flow line").first.is_visible()
    here.seen("inside")
    for title, ending in (("ISO/IEC 19794-2", "fmr"), ("JSON", "json")):
        with page.expect_download() as waiting:
            page.click(f"#inside button:has-text('{title}')")
        file = Path(waiting.value.path()).rename(Path(waiting.value.path()).with_suffix(f".{ending}"))
        assert waiting.value.suggested_filename == f"a-3.{ending}"
        assert len(formats.read(file)) == found


def tab_to(page: Any, selector: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{selector} is not reached by the keyboard")


def choose(page: Any, slot: str, downs: int) -> None:
    """An example, by the arrow keys."""
    tab_to(page, f"[data-slot={slot}] select")
    for _ in range(downs):
        page.keyboard.press("ArrowDown")
    page.wait_for_selector(f"[data-slot={slot}] img:not([hidden])")


def to_tab(page: Any, name: str, key: str) -> None:
    while page.evaluate("document.activeElement.getAttribute('role')") != "tab":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == f"tab-{name}"
    assert page.locator("[role=tabpanel]:visible").get_attribute("id") == name


@WIDTHS
def test_by_the_keyboard_alone(visit: Callable[..., Visit], width: int) -> None:
    here = visit(width)
    page = here.page
    tab_to(page, "[role=tab]")
    choose(page, "first", 1)
    choose(page, "second", 2)
    tab_to(page, "#compare .go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#compare .verdict.yes")
    assert page.evaluate("document.activeElement.matches('#compare .go')")  # one goes on from where one was
    here.seen("keyboard")

    to_tab(page, "who", "ArrowRight")
    choose(page, "enrol", 1)
    tab_to(page, "#who [name=finger]")
    page.keyboard.type("Anna")
    page.keyboard.press("Enter")
    page.wait_for_selector("#who .gallery td:text-is('Anna')")
    choose(page, "probe", 2)
    tab_to(page, "#who .identify .go")
    page.keyboard.press("Space")
    page.wait_for_selector("#who .verdict.yes")

    to_tab(page, "repair", "ArrowRight")
    choose(page, "repair", 7)
    tab_to(page, "#repair .go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#repair input[type=range]")
    tab_to(page, "#repair input[type=range]")
    page.keyboard.press("End")
    assert page.input_value("#repair input[type=range]") == "100"

    to_tab(page, "make", "ArrowRight")
    page.wait_for_selector("#make [name=condition] option", state="attached")
    tab_to(page, "#make [name=condition]")
    page.keyboard.type("wet")
    tab_to(page, "#make .go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#make .about")
    assert ", wet: " in here.text("#make .result")
    tab_to(page, "#make .layers input")
    page.keyboard.press("Space")
    assert not page.locator("#make .found").first.is_visible()

    to_tab(page, "inside", "End")
    choose(page, "inside", 3)
    tab_to(page, "#inside .dpi input")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")  # told by the ridges
    tab_to(page, "#inside .go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#inside .about")
    assert "told by its ridges" in here.text("#inside .result")
    to_tab(page, "compare", "Home")


def put(page: Any, selector: str, kind: str, content: str, name: str) -> None:
    """A picture pasted or dropped."""
    script = """([selector, kind, content, name]) => {
        const transfer = new DataTransfer(), bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
        transfer.items.add(new File([bytes], name, {type: "image/png"}));
        const given = kind === "paste" ? {clipboardData: transfer} : {dataTransfer: transfer};
        const event = kind === "paste" ? new ClipboardEvent(kind, {...given, bubbles: true, cancelable: true})
            : new DragEvent(kind, {...given, bubbles: true, cancelable: true});
        document.querySelector(selector).dispatchEvent(event);
    }"""
    page.evaluate(script, [selector, kind, content, name])


def test_what_goes_wrong_is_said_and_does_no_harm(visit: Callable[..., Visit], tmp_path: Path) -> None:
    import base64

    here = visit(390, "dark")
    page = here.page
    page.click("#compare .go")
    page.wait_for_selector("#compare form + .error:not(:empty)")
    assert here.text("#compare form + .error").startswith("the first print is missing")
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    page.set_input_files("[data-slot=first] input[type=file]", text)
    page.wait_for_selector("[data-slot=first] .error:not(:empty)")
    assert here.text("[data-slot=first] .error") == "text.png: not a picture, whatever its name says"
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(40 * 2**20)
    page.set_input_files("[data-slot=second] input[type=file]", large)
    page.wait_for_selector("[data-slot=second] .error:not(:empty)")
    assert here.text("[data-slot=second] .error").startswith("large.png: too large: more than the limit of")
    here.seen("wrong-dark")

    content = base64.b64encode((EXAMPLES / "a-1.png").read_bytes()).decode()
    put(page, "[data-slot=first] .drop", "drop", content, "dropped.png")
    page.wait_for_selector("[data-slot=first] img[alt^='dropped.png']")
    assert here.text("[data-slot=first]").count("not a picture") == 0
    put(page, "body", "paste", content, "image.png")
    page.wait_for_selector("[data-slot=second] img[alt^='pasted-1.png']")

    page.evaluate("for (let n = 0; n < 50; n += 1) document.querySelector('#compare .go').click()")
    page.wait_for_selector("#compare .about")
    assert page.locator("#compare .verdict").count() == 1
    assert len([r for r in here.requests if r.url.endswith("/api/compare")]) == 2  # with the one that failed
    here.seen("compare-dark")


def test_a_closed_page_is_forgotten(visit: Callable[..., Visit], address: str) -> None:
    here = visit(1280)
    here.page.click("#tab-inside")
    here.example("inside", "a-1.png")
    token = here.token()

    def answered() -> int:
        request = urllib.request.Request(
            f"{address}/api/inside", b'{"model": "minutiae-1", "dpi": 500}',
            {"fpml-session": token, "origin": address, "content-type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert answered() == 200
    here.page.close(run_before_unload=True)
    until(lambda: answered() == 410, 30, "the page to be forgotten")
