"""What goes wrong, and what is left when the page closes."""

import base64
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fpml.tryout.pictures import EXAMPLES
from tests.ops.conftest import until
from tests.ops.page.conftest import Visit


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

    page.set_input_files("[data-slot=second] input[type=file]", text)
    page.wait_for_selector("[data-slot=second] .error:not(:empty)")
    page.click("#compare .go")  # means the text, not the print that was there before it
    page.wait_for_selector("#compare form + .error:not(:empty)")
    assert here.text("#compare form + .error") == "text.png: not a picture, whatever its name says"
    assert not page.locator("[data-slot=second] img").is_visible()
    put(page, "body", "paste", content, "image.png")
    page.wait_for_selector("[data-slot=second] img[alt^='pasted-2.png']")

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


def test_a_button_waits_for_what_was_chosen_last(visit: Callable[..., Visit]) -> None:
    here = visit(1280)
    page = here.page
    here.example("first", "a-1.png")
    here.example("second", "a-2.png")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/api/example/second", hold)
    page.select_option("[data-slot=second] select", "a-3.png")
    page.select_option("[data-slot=second] select", "b-1.png")
    page.click("#compare .go")
    assert page.locator("#compare .go").is_disabled()
    held.pop().continue_()  # a-3.png's, which nobody waits for any more
    page.wait_for_function("document.querySelector('[data-slot=second] .why').textContent === 'reading …'")
    while not held:  # b-1.png's, which comes after it
        page.wait_for_function("true")
    held.pop().continue_()
    page.wait_for_selector("#compare .about")
    assert here.text("#compare .verdict") == "Not the same finger"
    assert "b-1.png" in here.text("#compare .result")
