"""Every tab by the keyboard alone, on a screen and on a phone."""

from collections.abc import Callable
from typing import Any

from tests.ops.page.conftest import WIDTHS, Visit


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
    page.wait_for_selector("#make .go:enabled")
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
