"""Clips as lines of JSON: those of `lightpose predict`, as they come."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest

pytest.importorskip("av")
from lightpose import cli
from lightpose.io.images import decode_image

pytestmark = pytest.mark.slow
FRAMES = 12


@pytest.fixture(scope="module")
def clip(tmp_path_factory, photo) -> Path:
    """Somebody who moves to the left."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    image = decode_image(photo)
    with_frames(path, [np.ascontiguousarray(image[:400, 4 * n : 400 + 4 * n]) for n in range(FRAMES)])
    return path


def with_frames(path: Path, images: list[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1"})  # the same bytes everywhere
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(("options", "given"), [("", []), ("?smooth=one_euro", ["--smooth", "one_euro"])])
def test_the_lines_are_those_of_predict(http, clip, tmp_path, capsys, options, given):
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", str(clip), "--out", str(tmp_path), "--no-draw", "--threads", "1", *given])
    assert ended.value.code == 0, capsys.readouterr()
    wanted = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    answer = http.post(f"/v1/videos{options}", content=clip.read_bytes())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert len(found) == FRAMES
    assert [{**row, "image": ""} for row in found] == [{**row, "image": ""} for row in wanted]
    assert {person["id"] for row in found for person in row["people"]} == {1}


def test_lines_come_before_the_clip_is_done(http, clip):
    with http.stream("POST", "/v1/videos", content=clip.read_bytes()) as answer:
        first = next(answer.iter_lines())
        assert json.loads(first)["index"] == 0


def test_a_client_that_hangs_up_leaves_its_place_to_others(server, http, clip):
    for _ in range(6):
        with httpx.Client(base_url=server.url) as other, other.stream("POST", "/v1/videos", content=clip.read_bytes()):
            pass
    for _ in range(100):
        if "lightpose_clips 0.0" in http.get("/metrics").text:
            break
    answer = http.post("/v1/videos", content=clip.read_bytes())
    assert len(answer.text.splitlines()) == FRAMES


def test_clips_that_are_none_or_damaged(http, clip, photo):
    content = clip.read_bytes()
    for bad in (b"hello", photo, content[:40], bytes(5000), b"#EXTM3U\nfile:///etc/passwd\n"):
        answer = http.post("/v1/videos", content=bad)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    answer = http.post("/v1/videos?boxes=1", content=content)
    assert answer.status_code == 422
    assert "boxes is unknown" in answer.json()["detail"]
    assert http.post("/v1/videos?track=false&smooth=one_euro", content=content).status_code == 422
    damaged = bytearray(content)
    damaged[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    answer = http.post("/v1/videos", content=bytes(damaged))
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert "problem" in rows[-1]
        assert rows[-1]["problem"]["detail"]
