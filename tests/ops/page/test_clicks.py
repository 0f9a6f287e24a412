"""Every tab by clicks, on a screen and on a phone. That nothing left loopback is asserted as each visit ends."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fpml.matching import formats
from fpml.tryout.pictures import EXAMPLES
from tests.ops.page.conftest import WIDTHS, Visit


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
    page.wait_for_selector("#make .go:enabled")
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

    page.locator("#make .use").nth(0).select_option("the print to repair")
    assert page.locator("#make").is_visible()
    page.locator("#make figure button").nth(0).click()
    page.wait_for_selector("#repair .why:has-text('made-7-1-altered.png')")
    assert "500 dpi: so it was made" in here.text("#repair .why")
    for number, place in enumerate(("first", "second")):
        page.click("#tab-make")
        page.locator("#make .use").nth(number).select_option(f"the {place} print to compare")
        page.locator("#make figure button").nth(number).click()
        page.wait_for_selector(f"[data-slot={place}] .why:has-text('made-7-{number + 1}-altered.png')")
    page.click("#compare .go")
    page.wait_for_selector("#compare .about")
    assert "made-7-1-altered.png" in here.text("#compare .slots")

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
