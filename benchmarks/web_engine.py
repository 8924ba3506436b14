"""ONNX Runtime Web in Chromium beside ONNX Runtime in Python: how near their keypoints are, and how long they take.

python benchmarks/web_engine.py --annotations val.json --images val2017 --threads 1 2   # --webgpu: software adapter

It needs chromium, the package playwright, and the files of scripts/web. Threads above 1 need as many free cores. Crops
are those of labelled boxes; where there are fewer than --crops, they come again, moved and resized a little. Times are
medians in milliseconds; the first run of each is left out. It prints a line of JSON for each number of threads, then a
table in Markdown.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lightpose.data.calibration import calibration_crops
from lightpose.detect.open import open_detector
from lightpose.inference.top_down import PredictOptions, predict_crops
from lightpose.serve.site import write_site
from lightpose.types import ImageArray
from lightpose.weights.open import open_runtime

HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
OPEN = """async ([threads, wanted]) => {
    const site = await fetch("web/site.json").then((response) => response.json());
    const at = (url) => new URL(url, document.baseURI).href;
    const bytes = async (one) => new Uint8Array(await fetch(at(one.url)).then((response) => response.arrayBuffer()));
    const content = { pose: await bytes(site.networks.pose), detector: await bytes(site.networks.detector) };
    const files = (one) => ({ script: at(one.script), binary: at(one.binary) });
    const engines = { wasm: files(site.engines.wasm), webgpu: files(site.engines.webgpu) };
    const { openEngine } = await import(at("web/engine.js"));
    const { decode } = await import(at("web/codec.js"));
    const opened = await openEngine(engines, content, site.networks, threads, wanted);
    globalThis.tried = { opened, decode, networks: site.networks };
    return opened.name;
}"""
RUN = """async ([kind, text, hw]) => {
    const { opened, decode, networks } = globalThis.tried;
    const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const begin = performance.now();
    const found = kind === "pose" ? decode(await opened.run.pose(pixels, 1, hw), networks.pose)
                                  : await opened.run.detector(pixels, hw);
    return [performance.now() - begin, kind === "pose" ? [...found] : []];
}"""


def main() -> None:
    """Compare, and print JSON lines and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="lpn50")
    parser.add_argument("--crops", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--webgpu", action="store_true", help="on Chromium's software adapter; for equality alone")
    given = parser.parse_args()
    spec = open_runtime(given.model, threads=1).spec
    crops = filled_up(calibration_crops(given.annotations, spec, given.crops, images=given.images), given.crops)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        write_site(Path(folder), given.model)
        with hosted(Path(folder)) as address:
            for threads in given.threads:
                found.append(compared(address, given.model, crops, threads, given.webgpu))
                print(json.dumps(found[-1]), flush=True)
    print(f"\n{table(found)}")


def filled_up(crops: ImageArray, count: int) -> ImageArray:
    """So many crops: the same again, moved by up to 8 pixels and resized by up to a tenth, as by other boxes."""
    random = np.random.default_rng(0)
    height, width = crops.shape[1:3]
    more = []
    for number in range(count - len(crops)):
        scale, (right, down) = random.uniform(0.9, 1.1), random.uniform(-8, 8, 2)
        moved = np.array([[scale, 0, right], [0, scale, down]])
        more.append(cv2.warpAffine(crops[number % len(crops)], moved, (width, height)))
    return np.concatenate([crops, np.stack(more)]) if more else crops


def compared(address: str, model: str, crops: ImageArray, threads: int, webgpu: bool) -> dict[str, Any]:
    """Python and the browser with so many threads: the difference of their keypoints, and their times."""
    runtime = open_runtime(model, threads=threads)
    ms, expected = [], []
    for crop in crops:
        begin_s = time.perf_counter()
        expected.append(predict_crops(crop[None], runtime, PredictOptions())[0])
        ms.append(1000 * (time.perf_counter() - begin_s))
    found = _in_browser(address, crops, threads, webgpu)
    off = np.abs(np.array(found.pop("keypoints"))[..., :2] - np.array(expected)[..., :2])
    about = {"model": model, "precision": runtime.precision, "crops": len(crops), "threads": threads}
    near = {"largest_px": round(float(off.max()), 5), "mean_px": round(float(off.mean()), 6)}
    python = {"python_pose_ms": _median(ms), "python_detector_ms": _detector_ms(model, threads)}
    return {**about, **near, **found, **python}


def table(found: Sequence[dict[str, Any]]) -> str:
    """The figures as a table, a column for each engine and number of threads."""
    heads = [(f"{name}, {each['threads']} thread{'s'[: each['threads'] > 1]}", kind, each)
             for each in found for name, kind in (("Python", "python"), (each["engine"], "web"))]  # fmt: skip
    rows = [("ms a person: network and decoder", "pose_ms"), ("ms a frame: detector at 320x320", "detector_ms")]
    lines = ["| | " + " | ".join(head for head, _, _ in heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += ["| " + " | ".join([told, *(str(each[f"{kind}_{key}"]) for _, kind, each in heads)]) + " |"
              for told, key in rows]  # fmt: skip
    for told, key in (("s until the page is ready", "ready_s"), ("s until the first skeleton", "first_skeleton_s"),
                      ("largest difference, px of the crop", "largest_px")):  # fmt: skip
        cells = ("" if kind == "python" else str(each.get(key, "")) for _, kind, each in heads)
        lines.append(f"| {told} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _in_browser(address: str, crops: ImageArray, threads: int, webgpu: bool) -> dict[str, Any]:
    """Engine, time until the page is ready and until its first skeleton, times of both networks, and keypoints."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"]
    if webgpu:
        arguments += ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        first = {} if webgpu else _first_skeleton(browser, address)
        page = browser.new_page()
        page.goto(f"{address}blank.html")
        name = page.evaluate(OPEN, [threads, "webgpu" if webgpu else "wasm"])
        shape = list(crops.shape[1:3])
        runs = [page.evaluate(RUN, ["pose", _packed(crop), shape]) for crop in crops]
        image = np.random.default_rng(0).integers(0, 256, (320, 320, 3)).astype(np.uint8)
        detector = [page.evaluate(RUN, ["detector", _packed(image), [320, 320]])[0] for _ in range(20)]
        browser.close()
    keypoints = [np.array(points).reshape(-1, 3) for _, points in runs]
    return {
        "engine": name, **first, "web_pose_ms": _median([each for each, _ in runs]),
        "web_detector_ms": _median(detector), "keypoints": keypoints,
    }  # fmt: skip


def _first_skeleton(browser: Any, address: str) -> dict[str, float]:
    """Seconds from opening the page, with nothing in its cache, until it can be used and until a skeleton is drawn."""
    photo = Path(__file__).parents[1] / "examples" / "photos" / "astronaut.jpg"
    page = browser.new_page()
    begin_s = time.perf_counter()
    page.goto(address)
    told = "(text) => document.getElementById('status').textContent.includes(text)"
    page.wait_for_function(told, arg="Ready.", timeout=300_000)
    ready_s = time.perf_counter() - begin_s
    page.set_input_files("#file", photo)
    page.wait_for_function(told, arg="found.", timeout=300_000)
    skeleton_s = time.perf_counter() - begin_s
    page.close()
    return {"ready_s": round(ready_s, 2), "first_skeleton_s": round(skeleton_s, 2)}


def _detector_ms(model: str, threads: int) -> float:
    precision = open_runtime(model, threads=1).precision  # the page's detector is in int8 if the model is
    detector = open_detector(precision=precision, threads=threads)
    image = np.random.default_rng(0).integers(0, 256, (320, 320, 3)).astype(np.uint8)
    ms = []
    for _ in range(20):
        begin_s = time.perf_counter()
        detector(image)
        ms.append(1000 * (time.perf_counter() - begin_s))
    return _median(ms)


def _median(ms: list[float]) -> float:
    return round(statistics.median(ms[1:]), 1)


def _packed(pixels: ImageArray) -> str:
    return base64.b64encode(pixels.tobytes()).decode()


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """A file host with the headers for threads; gives its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    (folder / "blank.html").write_text("<!doctype html><base href='./'>")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
