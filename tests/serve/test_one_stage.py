"""A server whose network finds boxes and joints at once."""

import json

import httpx
import pytest
from websockets.sync.client import connect

from lightpose import PoseEstimator, read_image
from lightpose.io.images import encode_image
from tests.runtime.one_stage_graphs import rtmo
from tests.serve.conftest import PHOTOS, started

pytestmark = pytest.mark.slow


def test_it_answers_images_batches_and_streams_as_predict_does_and_says_what_it_does_not_do(tmp_path):
    path = rtmo(tmp_path / "pose.onnx")
    estimator = PoseEstimator(path, threads=1)
    photos = [encode_image(read_image(PHOTOS / name), ".png") for name in ("astronaut.jpg", "grace_hopper.jpg")]
    expected = [estimator.predict(photo).to_dict() for photo in photos]
    assert all(len(each["people"]) == 2 for each in expected)
    command = ["-m", "lightpose", "serve", "--port", "0", "--threads", "1", "--model", str(path)]
    with started(command) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        assert [http.post("/v1/poses", content=photo).json() for photo in photos] == expected
        answers = http.post("/v1/poses/batch", files=[("i", ("a", photo)) for photo in photos]).json()["results"]
        assert [each["poses"]["people"] for each in answers] == [each["people"] for each in expected]
        with connect(f"ws{running.url.removeprefix('http')}/v1/stream?smooth=none") as stream:
            stream.send(photos[0])
            people = json.loads(stream.recv(60))["people"]
        assert [each["keypoints"] for each in people] == [each["keypoints"] for each in expected[0]["people"]]
        for options in ({"boxes": "[[0, 0, 50, 50]]"}, {"flip": "true"}):
            refused = http.post("/v1/poses", content=photos[0], params=options)
            assert refused.status_code == 422
            assert f"leave {next(iter(options))} out" in refused.json()["detail"]
        models = http.get("/v1/models").json()
        assert (models["pose"]["decoder"], models["detector"]["name"]) == (None, "the network's own")
        networks = http.get("/v1/networks")
        assert networks.status_code == 404
        assert "pose.onnx finds boxes and joints at once" in networks.json()["detail"]
