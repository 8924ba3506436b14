"""The page for everybody: by keyboard alone, by axe-core's rules, on a phone, in light and dark."""

import pytest

from tests.serve.conftest import PHOTOS
from tests.test_docs import ROOT

pytestmark = pytest.mark.slow

AXE = ROOT / ".web-test" / "axe.min.js"
PHONE = {"viewport": {"width": 360, "height": 640}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


def focused(page) -> str:
    return page.evaluate("document.activeElement.id")


@pytest.mark.parametrize(
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark", "reduced_motion": "reduce"}, PHONE],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_nothing_wrong_before_and_after_an_image(watch, here, options):
    if not AXE.is_file():
        pytest.skip("axe-core is not here; run scripts/web --test")
    watched = watch(here.url + "/", bypass_csp=True, **options)
    page = watched.open()
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    for told in (None, "1 person was found.", "Choose a JPEG or PNG file"):
        if told is not None:
            wrong = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"nothing"}
            page.set_input_files("#file", PHOTOS / "astronaut.jpg" if "person" in told else wrong)
            watched.wait_until_told(told)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []


def test_all_of_it_works_by_keyboard(watch, here):
    watched = watch(here.url + "/")
    page = watched.open()
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(focused(page))
    assert order == ["file", "camera", "on-server", "flip", ""]  # the last is the link to the description
    for _ in range(4):
        page.keyboard.press("Shift+Tab")
    assert focused(page) == "file"
    with page.expect_file_chooser() as waiting:
        page.keyboard.press("Space")
    waiting.value.set_files(PHOTOS / "astronaut.jpg")
    watched.wait_until_told("1 person was found.")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert focused(page) == "save-json"
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "poses.json"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert page.is_checked("#flip")
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    assert focused(page) == "camera"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('camera').textContent === 'Stop the camera'")
    page.keyboard.press("Enter")
    watched.wait_until_told("The camera is off.")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.is_checked("#on-browser")


def test_the_focus_can_be_seen(watch, here):
    page = watch(here.url + "/").open()
    page.keyboard.press("Tab")
    outlines = "() => getComputedStyle(document.querySelector('label[for=file]')).outlineStyle"
    assert page.evaluate(outlines) == "solid"


def test_on_a_phone_nothing_is_wider_than_the_screen(watch, here):
    watched = watch(here.url + "/", **PHONE)
    page = watched.open()
    page.set_input_files("#file", PHOTOS / "astronaut.jpg")
    watched.wait_until_told("1 person was found.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator("button:visible, .button:visible").all():
        assert button.bounding_box()["height"] >= 40


def test_light_and_dark_differ(watch, here):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    colors = {watch(here.url + "/", color_scheme=scheme).open().evaluate(ground) for scheme in ("light", "dark")}
    assert len(colors) == 2
