"""`lightpose.Client`: what a server finds, in the types of the package."""

import json

import numpy as np
import pytest

from lightpose import Client, PoseEstimator, read_image
from lightpose.errors import ServiceError
from tests.serve.conftest import PHOTOS, with_settings

pytestmark = pytest.mark.slow
PHOTO = PHOTOS / "astronaut.jpg"


def test_it_gives_what_the_estimator_gives(server):
    wanted = PoseEstimator(threads=1).predict(PHOTO)
    with Client(server.url) as client:
        for image in (PHOTO, str(PHOTO), PHOTO.read_bytes(), read_image(PHOTO)):
            poses = client.predict(image)
            assert poses.to_dict()["people"] == wanted.to_dict()["people"]
            assert poses.skeleton == wanted.skeleton
        assert client.predict(PHOTO).name == "astronaut.jpg"
        assert len(client.predict(PHOTO, boxes=wanted.boxes)) == 1
        assert len(client.predict(PHOTO, boxes=np.zeros((0, 4)))) == 0
        assert len(client.predict(PHOTO, threshold=1.0)) == 0
        assert client.models()["pose"]["model"] == "lpn50"
        many = client.predict_many([PHOTO, PHOTOS / "grace_hopper.jpg"])
    assert [poses.name for poses in many] == ["astronaut.jpg", "grace_hopper.jpg"]
    assert many[0].to_dict() == wanted.to_dict()


def test_what_the_server_refuses_is_its_own_sentence(server):
    with Client(server.url) as client:
        with pytest.raises(ServiceError, match="send a JPEG") as refused:
            client.predict(b"text")
        assert refused.value.status == 415
        with pytest.raises(ServiceError, match="outside the 512x512 image"):
            client.predict(PHOTO, boxes=[[9000, 0, 5, 5]])
        with pytest.raises(ServiceError, match="1: this is no image"):
            client.predict_many([PHOTO, b"text"])
        with pytest.raises(ServiceError, match="no video"):
            next(client.stream(b"text"))


def test_a_server_that_is_not_there_or_wants_a_token():
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceError, match="start it with lightpose serve"):
        client.predict(PHOTO)
    with with_settings(token="correct-horse") as running:
        with Client(running.url) as client, pytest.raises(ServiceError, match="Authorization: Bearer"):
            client.predict(PHOTO)
        with Client(running.url, token="correct-horse") as client:
            assert len(client.predict(PHOTO)) == 1


def test_frames_of_a_clip_come_one_by_one(server, tmp_path):
    pytest.importorskip("av")
    from tests.serve.test_clips import with_frames

    with_frames(tmp_path / "clip.mp4", [read_image(PHOTO)] * 5)
    with Client(server.url) as client:
        frames = list(client.stream(tmp_path / "clip.mp4", smooth="one_euro"))
    assert [poses.ids.tolist() for poses in frames] == [[1]] * 5
    assert json.dumps(frames[0].to_dict())
