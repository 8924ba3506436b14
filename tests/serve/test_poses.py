"""`lightpose serve` as users start it: what it answers is what `PoseEstimator` finds."""

import base64
import json

import cv2
import numpy as np
import pytest

from lightpose import PoseEstimator
from lightpose.io.images import decode_image, encode_image
from tests.serve.conftest import PHOTOS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def estimator():
    return PoseEstimator(threads=1)


def test_three_ways_to_send_an_image_give_the_same_bytes_as_the_estimator(http, photo, estimator):
    wanted = json.dumps(estimator.predict(photo).to_dict()).encode()
    raw = http.post("/v1/poses", content=photo)
    assert (raw.status_code, raw.headers["content-type"]) == (200, "application/json")
    document = http.post("/v1/poses", json={"image": base64.b64encode(photo).decode()})
    url = http.post("/v1/poses", json={"image": "data:image/jpeg;base64," + base64.b64encode(photo).decode()})
    named = http.post("/v1/poses", files={"any": ("me.jpg", photo)}).json()
    assert raw.content == document.content == url.content == wanted
    assert named == {**json.loads(wanted), "image": "me.jpg"}


@pytest.mark.parametrize("label", ["image/jpeg", "image/png", "text/plain", "application/x-www-form-urlencoded", ""])
def test_the_label_of_an_image_does_not_matter(http, photo, label):
    answer = http.post("/v1/poses", content=photo, headers={"content-type": label})
    assert (answer.status_code, len(answer.json()["people"])) == (200, 1)


def test_options_are_those_of_the_estimator(http, photo, estimator):
    boxes = [[40, 10, 320, 410], [0, 0, 200, 200.5]]
    wanted = estimator.predict(photo, boxes=boxes).to_dict()
    flipped = PoseEstimator(threads=1, flip=True).predict(photo, boxes=boxes).to_dict()
    text = json.dumps(boxes)
    document = {"image": base64.b64encode(photo).decode(), "boxes": boxes}
    assert http.post("/v1/poses", content=photo, params={"boxes": text}).json() == wanted
    assert http.post("/v1/poses", files={"image": photo}, data={"boxes": text}).json()["people"] == wanted["people"]
    assert http.post("/v1/poses", json=document).json() == wanted
    assert http.post("/v1/poses", json={**document, "flip": True}).json() == flipped
    assert http.post("/v1/poses", content=photo, params={"boxes": text, "flip": "true"}).json() == flipped
    assert http.post("/v1/poses", content=photo, params={"boxes": text, "max_people": 1}).json()["people"] == [
        wanted["people"][0]
    ]
    assert http.post("/v1/poses", content=photo, params={"boxes": "[]"}).json()["people"] == []
    assert http.post("/v1/poses", content=photo, params={"threshold": 1}).json()["people"] == []
    assert len(http.post("/v1/poses", content=photo, params={"threshold": 0}).json()["people"]) >= 1


def test_the_formats_are_those_of_the_package(http, photo, estimator):
    from lightpose.formats.openpose import openpose_document

    poses = estimator.predict(photo)
    assert http.post("/v1/poses?format=coco", content=photo).json() == poses.to_coco(1)
    assert http.post("/v1/poses?format=openpose", content=photo).json() == openpose_document(poses)
    assert http.post("/v1/poses?format=named", content=photo).json() == poses.to_dict()


def test_a_drawing_is_the_image_with_skeletons(http, photo, estimator):
    answer = http.post("/v1/poses?draw=png", content=photo)
    assert answer.headers["content-type"] == "image/png"
    wanted = estimator.predict(photo).plot(decode_image(photo))
    assert np.array_equal(decode_image(answer.content), wanted)


def test_one_bad_image_of_a_batch_does_not_fail_the_others(http, photo, estimator):
    wanted = estimator.predict(photo).to_dict()
    files = [("image", ("a.jpg", photo)), ("image", ("b.jpg", photo[:5000])), ("image", ("c", b"text"))]
    answer = http.post("/v1/poses/batch", files=[*files, ("x", ("d.png", photo))])
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(each["name"], each["status"]) for each in results] == [
        ("a.jpg", 200), ("b.jpg", 422), ("c", 415), ("d.png", 200),
    ]  # fmt: skip
    assert results[0]["poses"] == {**wanted, "image": "a.jpg"}
    assert "cut short" in results[1]["problem"]["detail"]
    image = base64.b64encode(photo).decode()
    document = {"images": [{"image": image, "name": "n", "boxes": [[9999, 0, 1, 1]]}, {"image": image}]}
    outside, found = http.post("/v1/poses/batch", json=document).json()["results"]
    assert (outside["status"], found["poses"]) == (422, wanted)


def test_each_of_64_images_gets_its_own_answer(http):
    files = [("i", (f"{n}.png", encode_image(np.full((40 + n, 30, 3), n, np.uint8), ".png"))) for n in range(64)]
    results = http.post("/v1/poses/batch", files=files).json()["results"]
    assert [(each["name"], each["poses"]["height"]) for each in results] == [(f"{n}.png", 40 + n) for n in range(64)]
    assert http.post("/v1/poses/batch", files=[*files, files[0]]).status_code == 400


def test_images_of_all_kinds_are_read_as_the_package_reads_them(http, photo):
    image = decode_image(photo)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    kinds = {suffix: encode_image(image, suffix) for suffix in (".png", ".webp", ".bmp", ".tiff", ".gif", ".jp2")}
    kinds["16 bit"] = cv2.imencode(".png", (grey.astype(np.uint16) * 257))[1].tobytes()
    kinds["grey"] = cv2.imencode(".jpg", grey)[1].tobytes()
    kinds["alpha"] = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGRA))[1].tobytes()
    for kind, content in kinds.items():
        answer = http.post("/v1/poses", content=content)
        assert (answer.status_code, len(answer.json()["people"])) == (200, 1), kind


def test_an_image_that_exif_turns_is_turned(http, photo, estimator):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    image = encode_image(decode_image(photo)[:, :300], ".jpg")
    turned = image[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + image[2:]
    answer = http.post("/v1/poses", content=turned).json()
    assert (answer["width"], answer["height"]) == (512, 300)
    assert answer == estimator.predict(turned).to_dict()


def test_the_server_says_what_it_runs(http, estimator):
    answer = http.get("/v1/models").json()
    assert answer["pose"]["sha256"] == estimator.about["sha256"]
    assert answer["pose"]["skeleton"]["joints"][0] == "nose"
    assert answer["pose"]["input"] == {"height": 256, "width": 192}
    assert answer["detector"]["threshold"] == estimator.detector.threshold
    assert http.get("/health/live").json() == {"status": "live"}
    assert http.get("/health/ready").json() == {"status": "ready"}


def test_the_figures_count_requests_and_people_and_no_content(http, photo):
    http.post("/v1/poses", content=photo)
    text = http.get("/metrics").text
    assert 'lightpose_requests_total{path="/v1/poses",status="200"}' in text
    assert "lightpose_people_total" in text
    assert "lightpose_queue_images 0.0" in text
    http.get("/secret-path")
    assert "secret" not in http.get("/metrics").text


def test_the_description_and_its_page_name_every_path_and_load_nothing(http):
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/poses", "/v1/poses/batch", "/v1/videos", "/v1/models", "/health/ready", "/metrics"} <= set(paths)
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert all(path in page.text for path in paths)
    assert "<script" not in page.text
    assert "http:" not in page.text
    assert "https:" not in page.text
    assert http.get("/web/page.css").status_code == 200


def test_photos_of_the_examples_are_answered(http, estimator):
    for path in sorted(PHOTOS.glob("*.[jp][pn]g")):
        content = path.read_bytes()
        assert http.post("/v1/poses", content=content).json() == estimator.predict(content).to_dict()
