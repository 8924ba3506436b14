"""Real Chromium, driven by Playwright; every request and every word on the console is looked at."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

playwright = pytest.importorskip("playwright.sync_api")

from lightpose.io.images import read_image  # noqa: E402
from lightpose.serve.site import site_document, write_site  # noqa: E402
from tests.serve.conftest import PHOTOS, Running, with_settings  # noqa: E402

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
CAMERA_HW, CAMERA_FRAMES = (360, 480), 120


def chromium() -> str:
    """Where Chromium is; the test is skipped without it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no Chromium here; apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def needs_engine() -> None:
    """ONNX Runtime Web is in this checkout."""
    if site_document()["engines"] is None:
        pytest.skip("ONNX Runtime Web is not here; run scripts/web")


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake camera shows: a person who walks through the image and back, as MJPEG."""
    height, width = CAMERA_HW
    person = cv2.resize(read_image(PHOTOS / "astronaut.jpg"), (height - 60, height - 60))
    path = tmp_path_factory.mktemp("camera") / "walk.mjpeg"
    with path.open("wb") as file:
        for number in range(2 * CAMERA_FRAMES):
            moved = np.full((height, width, 3), 90, np.uint8)
            left = min(number, 2 * CAMERA_FRAMES - 1 - number) * (width - person.shape[1]) // CAMERA_FRAMES
            moved[30:-30, left : left + person.shape[1]] = person
            file.write(cv2.imencode(".jpg", cv2.cvtColor(moved, cv2.COLOR_RGB2BGR))[1].tobytes())
    return path


@pytest.fixture(scope="module")
def browser(camera_file: Path) -> Iterator["playwright.Browser"]:
    """Chromium with a fake camera that may be used without a question."""
    arguments = [
        "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    ]  # fmt: skip
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


class Watched:
    """A page of its own context, and all that it asks for and says."""

    def __init__(self, browser: "playwright.Browser", url: str, **options: object) -> None:
        self.url = url
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url.replace("ws:", "http:")))
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def open(self) -> "playwright.Page":
        """Open the page, and wait until it can be used."""
        self.page.goto(self.url)
        self.wait_until_told("Nothing is chosen")
        return self.page

    def wait_until_told(self, text: str, timeout_s: float = 120) -> None:
        """Wait until the status has a text."""
        test = "text => document.getElementById('status').textContent.includes(text)"
        self.page.wait_for_function(test, arg=text, timeout=timeout_s * 1000)

    def check(self) -> None:
        """Every request went to the page's own host, and nothing went wrong."""
        host = urlsplit(self.url).netloc
        others = [
            url for url in self.requests if urlsplit(url).netloc != host and not url.startswith(f"blob:http://{host}/")
        ]
        assert not others
        assert not [text for text in self.said if text.startswith(("error", "warning"))], self.said


@pytest.fixture
def watch(browser: "playwright.Browser") -> Iterator:
    """Opens pages that are checked at the end of the test."""
    opened: list[Watched] = []

    def start(url: str, **options: object) -> Watched:
        opened.append(Watched(browser, url, **options))
        return opened[-1]

    yield start
    for watched in opened:
        watched.context.close()
        watched.check()


@pytest.fixture(scope="module")
def here() -> Iterator[Running]:
    """A server for one module, on one thread."""
    with with_settings() as running:
        yield running


@contextmanager
def hosted(folder: Path, headers: dict[str, str] | None = None) -> Iterator[str]:
    """A plain file host for a folder; gives its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map: ClassVar = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

        def end_headers(self) -> None:
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """What `lightpose export --to web` writes."""
    request.getfixturevalue("needs_engine")
    return write_site(tmp_path_factory.mktemp("host") / "people").folder


@pytest.fixture(scope="module")
def site(site_folder: Path) -> Iterator[str]:
    """The same on a file host, below its root, without the headers for threads."""
    with hosted(site_folder.parent) as address:
        yield f"{address}people/"
