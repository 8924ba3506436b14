"""A thousand uploads that are broken in many ways, several at a time: each is refused with a sentence."""

import base64
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lightpose.io.images import decode_image, encode_image

pytestmark = pytest.mark.slow

COUNT = 1000
JSON = "application/json"
FORM = "multipart/form-data; boundary=xx"

Upload = tuple[str, str, bytes]
"""Path, kind of content, and body."""


@pytest.fixture(scope="module")
def files(photo) -> dict[str, bytes]:
    """One image in several kinds of file."""
    image = decode_image(photo)[::4, ::4].copy()
    return {suffix: encode_image(image, suffix) for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff")}


def ways(files: dict[str, bytes]) -> dict[str, Callable[[random.Random], Upload]]:
    """Ways to make an upload that nobody can use."""

    def some_file(chance: random.Random) -> bytes:
        return files[chance.choice(list(files))]

    def cut(chance: random.Random) -> bytes:
        content = files[chance.choice([".jpg", ".png", ".bmp"])]
        return content[: chance.randrange(1, len(content) // 2)]

    def noise(chance: random.Random) -> bytes:
        return b"#" + chance.randbytes(chance.randrange(400))

    def as_json(image: bytes, **more: object) -> bytes:
        return json.dumps({"image": base64.b64encode(image).decode(), **more}).encode()

    def as_form(content: bytes, end: bytes = b"\r\n--xx--\r\n") -> bytes:
        head = b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        return head + content + end

    def other_json(chance: random.Random) -> bytes:
        text = as_json(some_file(chance))
        return text[: chance.randrange(len(text))]

    return {
        "cut": lambda chance: ("/v1/poses", "image/jpeg", cut(chance)),
        "noise": lambda chance: ("/v1/poses", "image/png", noise(chance)),
        "garbage after a header": lambda chance: (
            "/v1/poses", "", some_file(chance)[: chance.randrange(4, 12)] + chance.randbytes(chance.randrange(1, 300)),
        ),
        "cut JSON": lambda chance: ("/v1/poses", JSON, other_json(chance)),
        "cut image in JSON": lambda chance: ("/v1/poses", JSON, as_json(cut(chance))),
        "no base64": lambda chance: ("/v1/poses", JSON, b'{"image": "%s*"}' % chance.randbytes(9).hex().encode()),
        "a wrong option": lambda chance: (
            "/v1/poses", JSON, as_json(some_file(chance), **{chance.choice(["boxes", "flip", "format"]): "none"}),
        ),
        "an option that there is not": lambda chance: (
            f"/v1/poses?{chance.choice('abcdefg')}=1", "image/jpeg", some_file(chance),
        ),
        "cut image in a form": lambda chance: ("/v1/poses", FORM, as_form(cut(chance))),
        "a form with an end that is cut off": lambda chance: ("/v1/poses", FORM, as_form(noise(chance), b"\r\n--x")),
        "a form of noise": lambda chance: ("/v1/poses/batch", FORM, noise(chance)),
        "a batch in no form": lambda chance: ("/v1/poses/batch", "image/jpeg", some_file(chance)),
        "a batch of cut JSON": lambda chance: ("/v1/poses/batch", JSON, other_json(chance)),
        "a clip that is none": lambda chance: ("/v1/videos", "video/mp4", noise(chance)),
    }  # fmt: skip


def test_a_thousand_malformed_uploads_are_refused_with_a_sentence_each(server, files, photo):
    pytest.importorskip("av")  # else clips are not looked at at all
    made = ways(files)
    chance = random.Random(0)
    uploads = [(name, made[name](chance)) for name in chance.choices(list(made), k=COUNT)]

    with httpx.Client(base_url=server.url, timeout=60) as http, ThreadPoolExecutor(4) as pool:

        def post(path: str, body: bytes, kind: str) -> httpx.Response:
            return http.post(path, content=body, headers={"content-type": kind} if kind else {})

        def send(upload: tuple[str, Upload]) -> tuple[str, httpx.Response]:
            name, (path, kind, body) = upload
            answer = post(path, body, kind)
            while path == "/v1/videos" and answer.status_code == 503:  # two clips at once are as many as it takes
                time.sleep(0.1)
                answer = post(path, body, kind)
            return name, answer

        answers = list(pool.map(send, uploads))
        for name, answer in answers:
            assert 400 <= answer.status_code < 500, (name, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            detail = answer.json()["detail"]
            assert 15 < len(detail) < 400, (name, detail)
            assert "\n" not in detail
        assert len(http.post("/v1/poses", content=photo).json()["people"]) == 1
    assert set(Counter(name for name, _ in answers)) == set(made)
    assert {answer.status_code for _, answer in answers} >= {400, 415, 422}
