"""WebGPU in Chromium, on its software adapter: the keypoints of WebAssembly, which the page falls back to.

The adapter takes a minute of a core for its two runs, most of it to compile.
"""

import base64
import json
from collections.abc import Iterator

import numpy as np
import pytest

from lightpose import PoseEstimator, read_image
from lightpose.inference.top_down import PredictOptions, predict_crops
from lightpose.ops.geometry import cut_crops
from tests.serve.conftest import PHOTOS
from tests.serve.page.conftest import Watched, chromium, playwright
from tests.serve.page.test_browser import check_same, downloaded, drop

pytestmark = pytest.mark.slow

FLAGS = [
    "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan",
    "--ignore-gpu-blocklist",
]  # fmt: skip
PATIENCE_MS = 300_000

ENGINE = """async ([base, wanted, text, hw]) => {
    const at = (url) => new URL(url, base).href;
    const site = await fetch(at("web/site.json")).then((response) => response.json());
    const bytes = async (one) => new Uint8Array(await fetch(at(one.url)).then((response) => response.arrayBuffer()));
    const content = { pose: await bytes(site.networks.pose), detector: null };
    const files = (one) => ({ script: at(one.script), binary: at(one.binary) });
    const engines = { wasm: files(site.engines.wasm), webgpu: files(site.engines.webgpu) };
    const [{ openEngine }, { decode }] = [await import(at("web/engine.js")), await import(at("web/codec.js"))];
    const opened = await openEngine(engines, content, site.networks, 1, wanted);
    const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return [opened.name, [...decode(await opened.run.pose(pixels, 1, hw), site.networks.pose)]];
}"""


@pytest.fixture(scope="module")
def gpu_browser() -> Iterator["playwright.Browser"]:
    """Chromium with WebGPU on SwiftShader; the test is skipped where it gives no adapter."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(gpu_browser, site: str) -> Iterator[Watched]:
    watched = Watched(gpu_browser, site)
    watched.page.set_default_timeout(PATIENCE_MS)
    watched.context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    watched.page.goto(f"{site}web/icon.svg")  # a place of the site that runs nothing
    ready = "async () => Boolean(globalThis.WebAssembly.Suspending && (await navigator.gpu?.requestAdapter()))"
    if not watched.page.evaluate(ready):
        pytest.skip("this Chromium has no software adapter for WebGPU, or no JSPI")
    yield watched
    watched.context.close()
    watched.said = [text for text in watched.said if "VerifyEachNodeIsAssignedToAnEp" not in text]  # a hint of its own
    watched.check()


def test_keypoints_of_webgpu_are_those_of_webassembly_and_of_python(page, site):
    estimator = PoseEstimator(threads=1, precision="float32")
    image = read_image(PHOTOS / "astronaut.jpg")
    spec = estimator.runtime.spec
    boxes = np.array([[42, 13, 318, 408]], np.float32)
    crop = cut_crops(image, boxes, spec.input_hw, spec.geometry, spec.padding)[0]
    text = base64.b64encode(crop.tobytes()).decode()
    points = {}
    for wanted, name in (("wasm", "WebAssembly"), ("webgpu", "WebGPU")):
        told, found = page.page.evaluate(ENGINE, [site, wanted, text, list(spec.input_hw)])
        assert told == name
        points[wanted] = np.array(found).reshape(-1, 3)
    assert np.abs(points["webgpu"] - points["wasm"]).max() < 1e-3
    expected = predict_crops(crop, estimator.runtime, PredictOptions())[0]
    assert np.abs(points["webgpu"] - expected).max() < 2e-3


def test_the_page_does_without_a_software_adapter_and_finds_what_predict_finds(page):
    page.open()
    assert page.page.inner_text("#engine").startswith("WebAssembly, 1 thread.")
    drop(page.page, PHOTOS / "grace_hopper.jpg")
    page.wait_until_told("found.", PATIENCE_MS / 1000)
    expected = PoseEstimator(threads=1, precision="float32").predict(PHOTOS / "grace_hopper.jpg")
    check_same(json.loads(downloaded(page.page, "json")), expected)
