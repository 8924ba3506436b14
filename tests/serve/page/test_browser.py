"""The page in Chromium: what it finds, on the server and by itself, is what `lightpose predict` finds."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from lightpose import PoseEstimator, Poses
from lightpose.io.images import encode_image, read_image
from tests.serve.conftest import PHOTOS, with_settings
from tests.serve.page.conftest import ISOLATED, hosted
from tests.test_docs import ROOT

pytestmark = pytest.mark.slow

IMAGES = ["astronaut.jpg", "grace_hopper.jpg", "photographer.png"]
WEB = ROOT / "lightpose" / "serve" / "web"
CLOSE_PX = 0.5


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    """As the server has it: in int8 on CPUs made for it."""
    return PoseEstimator(threads=1)


@pytest.fixture(scope="module")
def exact() -> PoseEstimator:
    """As a browser has it."""
    return PoseEstimator(threads=1, precision="float32")


def drop(page, path: Path) -> None:
    """Drop a file onto the page, as a hand does."""
    content = base64.b64encode(path.read_bytes()).decode()
    code = """([content, name]) => {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        const held = new DataTransfer();
        held.items.add(new File([bytes], name, { type: name.endsWith("png") ? "image/png" : "image/jpeg" }));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(code, [content, path.name])


def downloaded(page, kind: str) -> bytes:
    """What a download button gives."""
    with page.expect_download() as waiting:
        page.click(f"#save-{kind}")
    return Path(waiting.value.path()).read_bytes()


def distances(person: dict, keypoints: np.ndarray) -> np.ndarray:
    """How many pixels each joint of an answer is off, the larger of x and y."""
    points = np.array([[point["x"], point["y"]] for point in person["keypoints"].values()])
    return np.abs(points - keypoints[:, :2]).max(-1)


def check_same(answer: dict, expected: Poses) -> None:
    """The people of an answer are those that were expected, to half a pixel."""
    assert len(answer["people"]) == len(expected) > 0
    assert (answer["height"], answer["width"]) == expected.image_hw
    for found, pose in zip(answer["people"], expected, strict=True):
        assert list(found["keypoints"]) == list(pose.skeleton.joints)
        assert distances(found, pose.keypoints).max() <= CLOSE_PX
        assert found["score"] == pytest.approx(pose.score, abs=0.01)


@pytest.mark.parametrize("name", IMAGES)
def test_a_dropped_image_has_the_joints_of_predict_on_the_server(watch, here, estimator, name: str):
    watched = watch(here.url + "/")
    page = watched.open()
    drop(page, PHOTOS / name)
    watched.wait_until_told("found.")
    check_same(json.loads(downloaded(page, "json")), estimator.predict(PHOTOS / name))


def paste(page, path: Path) -> None:
    """Put an image into the clipboard, and paste it by the keys, as a hand does."""
    content = base64.b64encode(encode_image(read_image(path), ".png")).decode()
    code = """async (content) => {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
    }"""
    page.bring_to_front()
    page.evaluate(code, content)
    page.keyboard.press("ControlOrMeta+v")


@pytest.mark.parametrize(("place", "own"), [("server", "estimator"), ("browser", "exact")])
def test_a_pasted_image_has_the_joints_of_predict(watch, here, request, place: str, own: str):
    address = here.url + "/" if place == "server" else request.getfixturevalue("site")
    estimator = request.getfixturevalue(own)
    watched = watch(address, permissions=["clipboard-read", "clipboard-write"])
    page = watched.open()
    paste(page, PHOTOS / IMAGES[1])
    watched.wait_until_told("found.")
    check_same(json.loads(downloaded(page, "json")), estimator.predict(PHOTOS / IMAGES[1]))


def test_dropped_images_have_the_joints_of_predict_in_the_browser_and_offline(watch, site, exact):
    watched = watch(site)
    page = watched.open()
    assert page.is_hidden("#on-server")
    assert page.inner_text("#engine").startswith("WebAssembly, 1 thread. More need a host")
    watched.context.set_offline(True)
    count = len(watched.requests)
    for name in IMAGES:
        drop(page, PHOTOS / name)
        watched.wait_until_told("found.")
        check_same(json.loads(downloaded(page, "json")), exact.predict(PHOTOS / name))
    page.check("#flip")
    drop(page, PHOTOS / IMAGES[0])
    watched.wait_until_told("found.")
    mirrored_too = PoseEstimator(threads=1, flip=True, precision="float32")
    check_same(json.loads(downloaded(page, "json")), mirrored_too.predict(PHOTOS / IMAGES[0]))
    assert [url for url in watched.requests[count:] if not url.startswith("blob:")] == []


@pytest.mark.usefixtures("needs_engine")
def test_the_server_gives_the_browser_its_networks_and_threads(watch, here, estimator):
    watched = watch(here.url + "/")
    page = watched.open()
    page.click("#on-browser")
    watched.wait_until_told("Ready.")
    assert "WebAssembly, " in page.inner_text("#engine")
    assert "More need" not in page.inner_text("#engine")
    assert page.evaluate("crossOriginIsolated")
    drop(page, PHOTOS / IMAGES[0])
    watched.wait_until_told("found.")
    answer, expected = json.loads(downloaded(page, "json")), estimator.predict(PHOTOS / IMAGES[0])
    if estimator.runtime.precision == "float32":
        check_same(answer, expected)
    else:  # int8 is rounded otherwise in WebAssembly, so that unsure joints jump
        assert np.median(distances(answer["people"][0], expected.keypoints[0])) < 4
    assert not [url for url in watched.requests if url.endswith("/v1/poses")]
    page.click("#on-server")
    watched.wait_until_told("Nothing is chosen yet.")
    assert page.is_disabled("#save-json")


def test_a_file_host_with_the_headers_gives_threads(watch, site_folder):
    with hosted(site_folder, ISOLATED) as address:
        page = watch(address).open()
        assert page.evaluate("crossOriginIsolated")
        assert "More need" not in page.inner_text("#engine")


def test_downloads_and_tables_have_what_was_found(watch, here, estimator):
    watched = watch(here.url + "/")
    page = watched.open()
    drop(page, PHOTOS / IMAGES[0])
    watched.wait_until_told("1 person was found.")
    pose = estimator.predict(PHOTOS / IMAGES[0])[0]
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "csv").decode())))
    expected = estimator.predict(PHOTOS / IMAGES[0]).to_records()
    assert list(rows[0]) == list(expected[0])
    for row, record in zip(rows, expected, strict=True):
        assert (row["joint"], row["image"], row["person"]) == (record["joint"], IMAGES[0], "0")
        assert float(row["x"]) == pytest.approx(record["x"], abs=0.006)
    assert downloaded(page, "png").startswith(b"\x89PNG")
    joints, angles = page.locator("#people table").all()
    cells = joints.get_by_role("row").filter(has_text="left eye").get_by_role("cell").all_inner_texts()
    assert float(cells[0]) == pytest.approx(pose["left_eye"].x, abs=0.006)
    sure = estimator.predict(PHOTOS / IMAGES[0]).above(0.2).angles()
    for row in angles.locator("tbody tr").all():
        name, value = row.locator("th").inner_text(), row.locator("td").inner_text()
        degrees = sure[name.replace(" ", "_")][0]
        assert value == "–" if np.isnan(degrees) else float(value) == pytest.approx(degrees, abs=0.2)
    assert page.locator("#canvas").get_attribute("aria-describedby") == "status people"


@pytest.mark.parametrize("place", ["server", "browser"])
def test_the_camera_shows_people_who_move_and_keep_their_ids(watch, here, request, place: str):
    address = here.url + "/" if place == "server" else request.getfixturevalue("site")
    watched = watch(address)
    page = watched.open()
    page.click("#camera")
    watched.wait_until_told("1 person was found.")
    seen, ids = [], set()
    for _ in range(60):
        page.wait_for_timeout(1000)
        title, nose = page.evaluate(
            """() => ["#people h2", "#people td"].map((one) => document.querySelector(one)?.textContent)"""
        )
        if title is not None:
            ids.add(title.split(",")[0])
            seen.append(float(nose))
        if len(seen) >= 6 and max(seen) - min(seen) > 20:
            break
    assert ids == {"Person with id 1"}
    assert max(seen) - min(seen) > 20
    page.click("#camera")
    watched.wait_until_told("The camera is off.")
    assert page.inner_text("#camera") == "Start the camera"


def test_a_clip_is_followed_on_the_server_and_in_the_browser(watch, here, site, tmp_path: Path):
    clip = tmp_path / "walk.webm"
    write_clip(clip)
    xs = {}
    for place, address in (("server", here.url + "/"), ("browser", site)):
        watched = watch(address)
        page = watched.open()
        page.set_input_files("#file", clip)
        watched.wait_until_told("frames are done, with up to 1 person")
        frames = json.loads(downloaded(page, "json"))
        assert len(frames) >= 10
        found = [(frame["time_s"], frame["people"][0]) for frame in frames if frame["people"]]
        assert {person["id"] for _, person in found} == {1}
        xs[place] = [(time_s, person["keypoints"]["nose"]["x"]) for time_s, person in found]
        rows = list(csv.DictReader(io.StringIO(downloaded(page, "csv").decode())))
        assert {row["id"] for row in rows} == {"1"}
        assert rows[-1]["frame"] == str(frames[-1]["index"])
        page.focus("#frame")
        page.keyboard.press("End")
        page.wait_for_function("() => document.getElementById('frame-time').textContent !== '0.00 s'")
        assert page.locator("#frame").get_attribute("aria-valuetext") == f"frame {len(frames)} of {len(frames)}"
    assert xs["server"][-1][1] - xs["server"][0][1] > 40
    times, places = zip(*xs["server"], strict=True)
    for time_s, x in xs["browser"]:
        assert abs(x - np.interp(time_s, times, places)) < 12  # a frame apart, and calmed at another rate


def answering(body: str):
    return lambda route: route.fulfill(body=body)


def test_what_was_found_before_a_clip_ended_badly_stays(watch, here, tmp_path: Path):
    clip = tmp_path / "walk.webm"
    write_clip(clip)
    frame = {"index": 0, "time_s": 0.0, "width": 64, "height": 48, "people": []}
    problem = {"problem": {"status": 422, "detail": "the clip is damaged; save it anew"}}
    for lines, told in (
        ([frame, {**frame, "index": 1, "time_s": 0.1}, problem], "2 frames are done, and then the clip ended"),
        ([], "No frame of the clip can be read"),
    ):
        body = "".join(json.dumps(line) + "\n" for line in lines)
        watched = watch(here.url + "/")
        watched.context.route("**/v1/videos*", answering(body))
        page = watched.open()
        page.set_input_files("#file", clip)
        watched.wait_until_told(told)
        assert page.locator("#frame").is_visible() == bool(lines)


def write_clip(path: Path) -> None:
    """Two seconds of a person who moves to the right, in VP8, which every Chromium plays."""
    av = pytest.importorskip("av")
    import cv2

    from lightpose.io.images import read_image

    person = cv2.resize(read_image(PHOTOS / "astronaut.jpg"), (300, 300))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx", rate=15)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 480, 360, "yuv420p", 2_000_000
        for number in range(24):
            image = np.full((360, 480, 3), 90, np.uint8)
            image[30:330, 4 * number : 4 * number + 300] = person
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        file.mux(stream.encode())


@pytest.mark.usefixtures("needs_engine")
def test_a_server_with_a_token_asks_for_it(watch):
    with with_settings(token="correct-horse-battery") as running:
        watched = watch(running.url + "/")
        page = watched.open()
        drop(page, PHOTOS / IMAGES[0])
        watched.wait_until_told("wants its token")
        page.fill("#token", "correct-horse-battery")
        drop(page, PHOTOS / IMAGES[0])
        watched.wait_until_told("1 person was found.")
        page.click("#on-browser")
        watched.wait_until_told("Ready.")
        drop(page, PHOTOS / IMAGES[0])
        watched.wait_until_told("1 person was found.")
        watched.said = [text for text in watched.said if "401" not in text]  # the one refusal that was provoked


def test_what_cannot_be_shown_says_what_to_do(watch, here, tmp_path: Path):
    broken, text = tmp_path / "broken.jpg", tmp_path / "text.txt"
    broken.write_bytes((PHOTOS / IMAGES[0]).read_bytes()[:300])
    text.write_text("nothing")
    watched = watch(here.url + "/")
    page = watched.open()
    page.set_input_files("#file", text)
    watched.wait_until_told("Choose a JPEG or PNG file")
    drop(page, broken)
    page.wait_for_function("() => document.getElementById('status').className === 'wrong'")
    page.wait_for_function(
        "() => /Save it as|copy or download it again/.test(document.getElementById('status').textContent)"
    )
    drop(page, PHOTOS / IMAGES[0])
    watched.wait_until_told("1 person was found.")
    assert page.locator("#status").get_attribute("class") == ""
    watched.said = [text for text in watched.said if "422" not in text and "400" not in text]


def test_a_camera_that_is_refused_or_missing_says_what_to_do(watch, site):
    for name, told in (("NotAllowedError", "Allow it for this page"), ("NotFoundError", "Plug one in")):
        watched = watch(site)
        refuse = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{name}') }}"
        watched.page.add_init_script(refuse)
        watched.open().click("#camera")
        watched.wait_until_told(told)


@pytest.mark.usefixtures("needs_engine")
def test_without_webassembly_the_page_says_what_to_do(watch, here):
    watched = watch(here.url + "/")
    page = watched.open()
    take_away = """() => {
        const { Worker } = globalThis;
        globalThis.Worker = class extends Worker {
            constructor(address) { super(new URL("no-wasm.js", address), { type: "module" }); }
        };
    }"""
    page.evaluate(take_away)
    worker = (WEB / "worker.js").read_text(encoding="utf-8")
    headers = {"Cross-Origin-Embedder-Policy": "require-corp", "Content-Type": "text/javascript"}
    body = f"globalThis.WebAssembly = undefined;\n{worker}"
    watched.context.route("**/no-wasm.js", lambda route: route.fulfill(body=body, headers=headers))
    page.click("#on-browser")
    watched.wait_until_told("This browser has no WebAssembly.", 20)
