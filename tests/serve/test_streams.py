"""Frames of a camera over a WebSocket: ids, calm joints, the newest frame first."""

import json
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lightpose.io.images import decode_image, encode_image

pytestmark = pytest.mark.slow


def opened(server, options: str = ""):
    return connect(f"ws://{server.host}:{server.port}/v1/stream{options}", open_timeout=20)


def answers(stream, *frames: bytes) -> list[dict]:
    """The answer to each frame, sent one after the other."""
    found = []
    for frame in frames:
        stream.send(frame)
        found.append(json.loads(stream.recv(timeout=30)))
    return found


def test_people_keep_their_ids_and_each_answer_names_its_frame(server, photo):
    moved = encode_image(decode_image(photo)[:, 8:], ".jpg")
    with opened(server) as stream:
        found = answers(stream, photo, moved, photo)
    assert [each["frame"] for each in found] == [0, 1, 2]
    assert [[person["id"] for person in each["people"]] for each in found] == [[1], [1], [1]]
    assert found[0]["time_s"] < found[1]["time_s"] < found[2]["time_s"]
    nose = [each["people"][0] for each in found]
    assert nose[1]["raw_keypoints"]["nose"] != nose[1]["keypoints"]["nose"]
    assert nose[0]["raw_keypoints"] == nose[0]["keypoints"]


def test_two_streams_have_ids_of_their_own(server, photo):
    with opened(server) as one, opened(server, "?smooth=none") as other:
        first = [each["people"][0] for each in answers(one, photo, photo)]
        second = [each["people"][0] for each in answers(other, photo, photo)]
    assert [person["id"] for person in first + second] == [1, 1, 1, 1]
    assert "raw_keypoints" not in second[1]


def test_frames_without_tracking_have_no_ids(server, photo, http):
    with opened(server, "?track=false&smooth=none&max_people=1") as stream:
        found = answers(stream, photo)[0]
    assert "id" not in found["people"][0]
    alone = http.post("/v1/poses", content=photo).json()["people"]
    assert [{**person, "state": None} for person in found["people"]] == [{**person, "state": None} for person in alone]


def test_the_newest_frame_wins_while_one_is_in_work(server, photo):
    with opened(server) as stream:
        for _ in range(30):
            stream.send(photo)
        found = [json.loads(stream.recv(timeout=30))]
        while found[-1]["frame"] != 29:
            found.append(json.loads(stream.recv(timeout=30)))
    numbers = [each["frame"] for each in found]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + found[-1]["dropped"] == 30


def test_a_frame_that_is_none_gets_a_problem_and_the_stream_goes_on(server, photo):
    with opened(server) as stream:
        found = answers(stream, photo, b"", b"text", photo[:3000], photo)
    assert [each.get("problem", {}).get("status") for each in found] == [None, 422, 415, 422, None]
    assert found[4]["people"][0]["id"] == 1


@pytest.mark.parametrize(("message", "code"), [("text", 1003), (bytes(4_000_001), 1009)])
def test_messages_that_are_no_frames_end_the_stream(server, message, code):
    with opened(server) as stream:
        with suppress(ConnectionClosed):  # it may be closed while the message is sent
            stream.send(message)
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=30)
        # a client that still sends when the server has closed may see the connection break before it reads the code
        assert stream.close_code in ((code, 1006) if isinstance(message, bytes) else (code,))
