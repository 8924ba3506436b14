"""What no request should be: each gets a problem document of one sentence, and the server goes on."""

import base64
import json
import socket
from contextlib import suppress

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightpose.io.images import decode_image, encode_image

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response, status: int, *parts: str) -> None:
    """A problem document (RFC 9457) with one sentence that has all the parts."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["type"], document["status"]) == ("about:blank", status)
    assert document["title"]
    sentence = document["detail"]
    assert 20 < len(sentence) < 400
    assert "\n" not in sentence
    assert all(part in sentence for part in parts), sentence


@pytest.fixture(autouse=True)
def still_good(http, photo):
    """The server answers as before after each test."""
    yield
    assert len(http.post("/v1/poses", content=photo).json()["people"]) == 1


def test_nothing(http):
    refused(http.post("/v1/poses", content=b""), 400, "empty", "send")
    refused(http.post("/v1/poses", content=b"", headers=JSON), 400, "JSON")
    refused(http.post("/v1/poses", json={"image": ""}), 422, "empty")
    refused(http.post("/v1/poses", files={"image": ("a.jpg", b"")}), 422, "empty")
    refused(http.post("/v1/videos", content=b""), 400, "empty", "send")
    refused(http.post("/v1/poses/batch", content=b""), 415, "form")


def test_images_that_are_cut_broken_or_of_another_kind(http, photo):
    image = decode_image(photo)
    png = encode_image(image, ".png")
    refused(http.post("/v1/poses", content=photo[: len(photo) // 2]), 422, "cut short")
    refused(http.post("/v1/poses", content=png[: len(png) // 2]), 422, "cut short")
    refused(http.post("/v1/poses", content=b"hello"), 415, "send a JPEG")
    refused(http.post("/v1/poses", content=b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 415, "SVG", "JPEG")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    refused(http.post("/v1/poses", content=heic), 415, "HEIC", "JPEG")
    broken = png[:60] + bytes(400) + png[460:]
    assert http.post("/v1/poses", content=broken).status_code in (200, 422)


def test_an_image_of_50_000_x_50_000_pixels_is_refused_by_its_header(http):
    whole = encode_image(np.zeros((4, 4, 3), np.uint8), ".png")
    size = (50_000).to_bytes(4, "big") * 2
    huge = whole[:16] + size + whole[24:]
    refused(http.post("/v1/poses", content=huge), 413, "50,000 x 50,000 pixels", "smaller")


def test_an_empty_gif_frame_and_a_cmyk_photo(http, photo):
    assert http.post("/v1/poses", content=b"GIF89a\1\0\1\0\0\0\0;").status_code == 422
    grey = cv2.imencode(".jpg", np.zeros((30, 20), np.uint8))[1].tobytes()
    assert http.post("/v1/poses", content=grey).status_code == 200
    pil = pytest.importorskip("PIL.Image")
    import io

    cmyk = io.BytesIO()
    pil.fromarray(decode_image(photo)).convert("CMYK").save(cmyk, "JPEG")
    assert len(http.post("/v1/poses", content=cmyk.getvalue()).json()["people"]) == 1


def test_more_bytes_than_are_taken(http):
    refused(http.post("/v1/poses", content=bytes(4_000_001)), 413, "4,000,000", "less")
    parts = (bytes(500_000) for _ in range(9))
    refused(http.post("/v1/poses", content=parts), 413, "4,000,000", "less")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"boxes": "[[0, 0, NaN, 5]]"}, ("boxes", "[[10, 20, 100, 200]]")),
        ({"boxes": "[[0, 0, 1e999, 5]]"}, ("boxes",)),
        ({"boxes": "[[0, 0, 1e300, 5]]"}, ("NaN or infinite",)),
        ({"boxes": "[[0, 0, 5]]"}, ("boxes",)),
        ({"boxes": "["}, ("boxes",)),
        ({"boxes": "[" * 10_000}, ("boxes",)),
        ({"boxes": "[[900, 900, 5, 5]]"}, ("outside the 512x512 image",)),
        ({"boxes": "[[1, 1, 0, 5]]"}, ("no area",)),
        ({"boxes": json.dumps([[0, 0, 9, 9]] * 101)}, ("boxes", "100 people")),
        ({"flip": "maybe"}, ("flip",)),
        ({"threshold": "nan"}, ("threshold",)),
        ({"threshold": "2"}, ("threshold",)),
        ({"max_people": "0"}, ("max_people",)),
        ({"max_people": "9" * 5000}, ("max_people",)),
        ({"format": "xml"}, ("format", "coco")),
        ({"draw": "gif"}, ("draw", "png")),
        ({"url": "http://example.org/a.jpg"}, ("url is unknown", "/docs")),
    ],
)
def test_options_that_are_none(http, photo, options, parts):
    refused(http.post("/v1/poses", content=photo, params=options), 422, *parts)
    refused(http.post("/v1/poses", files={"i": photo}, data=options), 422, parts[0])


def test_json_that_is_none_or_too_deep(http, photo):
    image = base64.b64encode(photo).decode()
    for text in ("", "{", "[" * 10_000, '{"image": ' * 10_000, b'"\xff\xfe"', b"\xff\xfe"):
        content = text if isinstance(text, bytes) else text.encode()
        refused(http.post("/v1/poses", content=content, headers=JSON), 400, "JSON")
        refused(http.post("/v1/poses/batch", content=content, headers=JSON), 400, "JSON")
    for document, part in (
        ({}, "image is missing"),
        ([], "object"),
        (float("nan"), "object"),
        (None, "object"),
        ({"image": 5}, "image"),
        ({"image": "%%%"}, "base64"),
        ({"image": image, "path": "/etc/passwd"}, "path is unknown"),
        ({"image": image, "boxes": [[0, 0, 1]]}, "boxes"),
        ({"image": image, "boxes": [[0, 0, 1, True, 5]]}, "boxes"),
        ({"image": image, "boxes": "x"}, "boxes"),
        ({"image": image, "threshold": False}, "threshold: input should be a valid number"),
        ({"image": image, "flip": "true"}, "flip: input should be a valid boolean"),
    ):
        refused(http.post("/v1/poses", content=json.dumps(document), headers=JSON), 422, part)
    nan = json.dumps({"image": image, "boxes": [[0, 0, float("nan"), 3]]})
    answer = http.post("/v1/poses", content=nan, headers=JSON)
    assert answer.status_code in (400, 422)
    refused(http.post("/v1/poses?flip=true", json={"image": image}), 422, "leave them out of the address")
    refused(http.post("/v1/poses/batch", json={"images": []}), 422, "images")


def test_forms_that_are_none(http, photo):
    form = {"content-type": "multipart/form-data; boundary=xx"}
    for content in (b"", b"--xx", b"--xx\r\n\r\n\r\n", b"--xx\r\nContent-Disposition: form-data\r\n\r\nhm\r\n--xx--"):
        refused(http.post("/v1/poses", content=content, headers=form), 400, "form")
    refused(http.post("/v1/poses", content=photo, headers={"content-type": "multipart/form-data"}), 400, "boundary")
    refused(http.post("/v1/poses", data={"a": "b"}, files={}), 415)
    refused(http.post("/v1/poses", files=[("a", ("a", photo)), ("b", ("b", photo))]), 400, "too many files")
    refused(http.post("/v1/poses", files={"i": photo}, data={str(n): "" for n in range(30)}), 400, "fields")
    refused(http.post("/v1/poses", files={"i": photo}, data={"path": "x"}), 422, "path is unknown")


def test_paths_and_methods_that_there_are_not(http):
    refused(http.get("/v2/poses"), 404, "/docs")
    refused(http.get("/web/../../settings.py"), 404)
    refused(http.get("/web/%2e%2e/settings.py"), 404)
    refused(http.get("/v1/poses"), 405, "/docs")
    refused(http.options("/v1/poses"), 405)
    refused(http.get("/v1/stream"), 404)


def raw(server, *parts: bytes) -> bytes:
    """What comes back for bytes that no client would send."""
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        found = b""
        with suppress(OSError):  # it does not read on for ever
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                found += more
    return found


def test_ten_thousand_headers_and_what_is_no_http(server):
    headers = b"".join(b"x%d: y\r\n" % number for number in range(10_000))
    begin = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    assert b" 431 " in raw(server, begin + headers + b"\r\n")
    assert b" 200 " not in raw(server, begin + headers * 9 + b"\r\n")
    for request in (b"\x16\x03\x01\x02\0\x01\0", b"x" * 40_000):
        answer = raw(server, request)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), answer
        assert b"application/problem+json" in answer
        assert b"Invalid HTTP request" not in answer


def test_bodies_whose_length_is_a_lie(server, photo):
    head = b"POST /v1/poses HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    assert raw(server, head + b"content-length: 99999999999999999999\r\n\r\nabc").startswith(b"HTTP/1.1 413")
    assert b" 413 " in raw(server, head + b"content-length: 5000000\r\nexpect: 100-continue\r\n\r\n")
    assert raw(server, head + b"content-length: -1\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(server, head + b"transfer-encoding: chunked\r\n\r\nzz\r\n").startswith(b"HTTP/1.1 400")
    raw(server, head + b"content-length: 100000\r\n\r\n" + photo[:5000])  # it stops: there is nobody to answer


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_gives_status_500(http, content):
    for path in ("/v1/poses", "/v1/videos"):
        assert http.post(path, content=content).status_code < 500
    for kind in ("application/json", "multipart/form-data; boundary=x"):
        for path in ("/v1/poses", "/v1/poses/batch"):
            assert http.post(path, content=content, headers={"content-type": kind}).status_code < 500


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_an_image_gives_status_500(http, data):
    suffix = data.draw(st.sampled_from([".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif", ".ppm", ".jp2", ".avif"]))
    image = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3)
    try:
        content = bytearray(encode_image(image, suffix))
    except Exception:
        return
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = value
    answer = http.post("/v1/poses", content=bytes(content))
    assert answer.status_code in (200, 413, 415, 422), answer.text


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_option_or_name_gives_status_500(http, value, name, file):
    tiny = encode_image(np.zeros((8, 8, 3), np.uint8), ".png")
    for key in ("boxes", "threshold", "max_people", name):
        assert http.post("/v1/poses", content=tiny, params={key: value}).status_code < 500
        assert http.post("/v1/poses", files={"i": (file, tiny)}, data={key: value}).status_code < 500
    answer = http.post("/v1/poses", files={"i": (file or "x", tiny)})
    assert answer.status_code == 200
