"""Frames through an estimator, and sinks behind it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightpose import Boxes, Frame, PoseEstimator, read_image
from lightpose.detect import as_detector
from lightpose.errors import BoxesError, ShapeError
from lightpose.inference.sinks import Drawings, JsonLines
from lightpose.io.images import encode_image
from tests.detect.graphs import pose_network

BATCH = 4


def people_of(image: np.ndarray) -> Boxes:
    """As many persons as the first pixel's red says; none may be had where it is 255."""
    if image[0, 0, 0] == 255:
        raise BoxesError("this image's people cannot be found")
    number = np.arange(image[0, 0, 0], dtype=np.float32)
    return Boxes(np.stack([16 * number, 12 * number, 0 * number + 14, 0 * number + 20], -1))


@pytest.fixture
def estimator(tmp_path: Path) -> PoseEstimator:
    return PoseEstimator(pose_network(tmp_path / "pose.onnx"), people_of, batch=BATCH)


def image_of(people: int) -> np.ndarray:
    pixels = np.random.default_rng(people).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    pixels[0, 0] = people
    return pixels


def test_every_frame_comes_back_in_order_with_its_own_people(estimator: PoseEstimator):
    frames = [Frame(image_of(n % 4), f"{n}.png", n, n / 30) for n in range(11)]
    sizes: list[int] = []
    heatmaps = estimator.runtime.heatmaps
    estimator.runtime.heatmaps = lambda crops: sizes.append(len(crops)) or heatmaps(crops)
    found = list(estimator.stream(frames))
    assert [frame for frame, _ in found] == frames
    assert max(sizes) == BATCH, "crops of several frames fill a batch"
    for frame, poses in found:
        assert (poses.name, poses.image_hw, len(poses)) == (frame.name, (60, 50), frame.index % 4)
        alone = estimator.predict(frame.image)
        np.testing.assert_array_equal(poses.keypoints, alone.keypoints)


def slow(work, seconds: float):
    def slowed(*given):
        time.sleep(seconds)
        return work(*given)

    return slowed


def test_each_frame_tells_what_its_stages_took(estimator: PoseEstimator):
    estimator.runtime.heatmaps = slow(estimator.runtime.heatmaps, 0.03)
    estimator.detector = as_detector(slow(people_of, 0.02))
    start_s = time.perf_counter()
    found = [poses for _, poses in estimator.stream([Frame(image_of(n), f"{n}.png", n) for n in (0, 1, 3)])]
    passed_ms = 1000 * (time.perf_counter() - start_s)
    for poses in found:
        assert list(poses.milliseconds) == ["detect", "crop", "network", "decode"]
        assert poses.milliseconds["detect"] >= 20
    nobody, one, three = (poses.milliseconds["network"] for poses in found)
    assert (nobody, 3 * one) == (0, pytest.approx(three)), "one batch, shared out by people"
    assert one + three >= 30
    assert sum(sum(poses.milliseconds.values()) for poses in found) <= passed_ms


def test_only_frames_in_which_the_detector_ran_tell_that_it_took_time(estimator: PoseEstimator):
    estimator.detector = as_detector(slow(people_of, 0.02))
    frames = [Frame(image_of(1), "", n, n / 25) for n in range(4)]
    taken = [poses.milliseconds["detect"] for _, poses in estimator.stream(frames, detect_every=2)]
    assert [ms >= 20 for ms in taken] == [True, False, True, False]
    assert taken[1::2] == [0, 0]


def test_what_stages_took_is_in_no_file(estimator: PoseEstimator):
    assert "milliseconds" not in json.dumps(estimator.predict(image_of(2)).to_dict())


class SideBySide:
    """Finds people as `people_of` does, up to three images at once; none may be had of a group with a broken one."""

    name, path, threshold, min_person_score, given, lanes = "three", None, None, 0.0, False, 3

    def __init__(self) -> None:
        self.groups: list[int] = []

    def __call__(self, image: np.ndarray, path: Path | None = None) -> Boxes:  # noqa: ARG002
        return self.find_all([image])[0]

    def find_all(self, images: list[np.ndarray]) -> list[Boxes]:
        self.groups.append(len(images))
        return [people_of(image) for image in images]

    def image_id(self, path: Path) -> int | None:  # noqa: ARG002
        return None


def test_a_detector_that_can_gets_several_images_at_once(estimator: PoseEstimator, tmp_path: Path):
    detector = SideBySide()
    side_by_side = PoseEstimator(pose_network(tmp_path / "pose.onnx"), detector, batch=BATCH)
    frames = [Frame(image_of(n % 4), f"{n}.png", n) for n in range(8)]
    expected, found = list(estimator.stream(frames)), list(side_by_side.stream(frames))
    assert detector.groups == [3, 3, 2]
    assert [frame for frame, _ in found] == frames
    for (_, one), (_, other) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)


def test_of_images_found_at_once_only_the_broken_one_is_left_out(tmp_path: Path):
    detector = SideBySide()
    estimator = PoseEstimator(pose_network(tmp_path / "pose.onnx"), detector, batch=BATCH)
    frames = [Frame(image_of(people), f"{n}.png", n) for n, people in enumerate([1, 255, 2, 3])]
    failed: list[str] = []
    found = list(estimator.stream(frames, lambda frame, _: failed.append(frame.name)))
    assert [frame.name for frame, _ in found] == ["0.png", "2.png", "3.png"]
    assert failed == ["1.png"]
    assert detector.groups == [3, 1, 1, 1, 1]
    with pytest.raises(BoxesError, match="cannot be found"):
        list(estimator.stream(frames))


def test_large_images_are_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    detector = SideBySide()
    estimator = PoseEstimator(pose_network(tmp_path / "pose.onnx"), detector, batch=BATCH)
    frames = [Frame(image_of(1), index=n) for n in range(4)]
    monkeypatch.setattr("lightpose.inference.stream.HELD_BYTES", 2 * frames[0].image.nbytes)
    assert len(list(estimator.stream(frames))) == 4
    assert detector.groups == [2, 2]


def test_a_stream_is_lazy(estimator: PoseEstimator):
    taken: list[int] = []

    def frames() -> Iterator[Frame]:
        for number in range(100):
            taken.append(number)
            yield Frame(image_of(3), index=number)

    next(iter(estimator.stream(frames())))
    assert len(taken) <= 2 * BATCH


def test_a_frame_whose_people_cannot_be_had_is_raised_or_left_out(estimator: PoseEstimator):
    frames = [Frame(image_of(n), str(n)) for n in (1, 255, 2)]
    with pytest.raises(BoxesError, match="cannot be found"):
        list(estimator.stream(frames))
    failed: list[str] = []
    found = [frame.name for frame, _ in estimator.stream(frames, lambda frame, _: failed.append(frame.name))]
    assert (found, failed) == (["1", "2"], ["255"])


def test_an_image_may_be_a_file_its_bytes_an_array_of_either_order_or_of_pil(estimator: PoseEstimator, tmp_path: Path):
    pil = pytest.importorskip("PIL.Image")
    image = image_of(2)
    (tmp_path / "a.png").write_bytes(encode_image(image, ".png"))
    wanted = estimator.predict(image).keypoints
    kinds = [tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), pil.fromarray(image)]
    for kind in (*kinds, pil.open(tmp_path / "a.png")):
        np.testing.assert_array_equal(estimator.predict(kind).keypoints, wanted)
    np.testing.assert_array_equal(estimator.predict(image[..., ::-1], color="bgr").keypoints, wanted)
    found = estimator.predict(kinds)
    assert [poses.name for poses in found] == ["a.png", "a.png", "", ""]
    for poses in (*found, *estimator.predict_many(iter(kinds))):
        np.testing.assert_array_equal(poses.keypoints, wanted)
    assert estimator.predict([]) == []


def test_what_is_no_image_is_refused(estimator: PoseEstimator):
    with pytest.raises(ShapeError, match="color 'grey' is unknown; use rgb or bgr"):
        estimator.predict(image_of(1), color="grey")
    with pytest.raises(ShapeError, match="boxes belong to one image"):
        estimator.predict([image_of(1)], boxes=[[0, 0, 5, 5]])


def test_sinks_write_lines_and_drawings(estimator: PoseEstimator, tmp_path: Path):
    frames = [Frame(image_of(n), f"deep/{n}.png", n, n / 10) for n in range(3)]
    lines, drawings = JsonLines(tmp_path / "poses.jsonl"), Drawings(tmp_path / "drawn")
    for number, (frame, poses) in enumerate(estimator.stream(frames), start=1):
        for sink in (lines, drawings):
            sink.write(frame, poses)
        assert (tmp_path / "poses.jsonl").read_bytes().count(b"\n") == number, "lines are there as they come"
        np.testing.assert_array_equal(read_image(tmp_path / "drawn" / frame.name), poses.plot(frame.image))
    lines.close()
    drawings.close()
    rows = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    assert [(row["index"], row["time_s"], row["image"], len(row["people"])) for row in rows] == [
        (n, n / 10, f"deep/{n}.png", n) for n in range(3)
    ]
