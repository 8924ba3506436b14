"""A network that finds boxes and joints at once in the place of detector and pose network: images, lists, videos."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightpose import Boxes, Frame, PoseEstimator
from lightpose.errors import ConfigError, ImageError
from lightpose.inference.folder import checksums, describe_run
from lightpose.inference.schedule import DetectSchedule
from lightpose.inference.video import predict_video
from lightpose.io.video import read_video
from lightpose.skeletons import COCO17
from tests.io.video.clips import write_clip
from tests.runtime import one_stage_graphs as graphs
from tests.runtime.one_stage_graphs import keypoints

PICTURE = np.full((100, 200, 3), 90, np.uint8)
WANTED = keypoints() / [0.32, 0.32, 1]


@pytest.fixture
def estimator(tmp_path: Path) -> PoseEstimator:
    return PoseEstimator(graphs.yolo_pose(tmp_path / "yolo.onnx"), threads=2)


def test_one_image_a_list_and_a_stream_give_the_same(estimator: PoseEstimator):
    poses = estimator.predict(PICTURE)
    np.testing.assert_allclose(poses.keypoints, WANTED, rtol=1e-5)
    assert (poses.skeleton, poses.about["decoder"], poses.about["skeleton"]) == (COCO17, None, "coco17")
    for other in (*estimator.predict([PICTURE] * 5), *estimator.predict_many([PICTURE] * 3)):
        np.testing.assert_array_equal(other.keypoints, poses.keypoints)
    frames = [Frame(PICTURE, f"{n}.png", n) for n in range(3)]
    found = list(estimator.stream(frames))
    assert [(frame.name, poses.name, poses.frame) for frame, poses in found] == [
        (f"{n}.png",) * 2 + (n,) for n in range(3)
    ]
    np.testing.assert_array_equal(estimator.find_people(PICTURE).xywh, poses.boxes.xywh)


def test_thresholds_are_of_the_networks_own_scores(tmp_path: Path):
    path = graphs.rtmo(tmp_path / "rtmo.onnx")
    for how, count in (({}, 2), ({"detector_threshold": 0.7}, 1), ({"min_person_score": 0.7}, 1)):
        estimator = PoseEstimator(path, **how)
        assert (len(estimator.predict(PICTURE)), estimator.detector_threshold) == (
            count, how.get("detector_threshold", 0.3),
        )  # fmt: skip


def test_poses_that_are_nearly_the_same_stay_two_if_the_network_says_so(tmp_path: Path):
    """RTMO's graph has suppressed what it takes for one person; lightpose does not do so again."""
    twice = np.repeat(keypoints(1), 2, axis=0)
    assert len(PoseEstimator(graphs.rtmo(tmp_path / "rtmo.onnx", twice)).predict(PICTURE)) == 2


def test_an_image_that_cannot_be_used_is_told_and_the_others_go_on(estimator: PoseEstimator, monkeypatch):
    real, told = estimator.runtime.find_all, []

    def find_all(images: list[np.ndarray], threshold: float) -> list:
        if any(image[0, 0, 0] == 7 for image in images):
            raise ImageError("seven")
        return real(images, threshold)

    monkeypatch.setattr(estimator.runtime, "find_all", find_all)
    frames = [Frame(np.full((50, 60, 3), value, np.uint8), str(value), n) for n, value in enumerate((1, 7, 3, 4))]
    found = [
        frame.name for frame, _ in estimator.stream(frames, lambda frame, error: told.append((frame.name, str(error))))
    ]
    assert (found, told) == (["1", "3", "4"], [("7", "seven")])
    with pytest.raises(ImageError, match="seven"):
        list(estimator.stream(frames))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"detector": "builtin"}, "the detector, or the boxes,"), ({"flip": True}, "the flip test"),
        ({"decoder": "dark"}, "the decoder"), ({"beta": 3.0}, "beta"), ({"padding": 1.1}, "padding"),
    ],
)  # fmt: skip
def test_what_would_not_be_used_is_refused(tmp_path: Path, how, told):
    with pytest.raises(
        ConfigError, match=rf"yolo\.onnx finds boxes and joints at once in whole images; leave {told} out"
    ):
        PoseEstimator(graphs.yolo_pose(tmp_path / "yolo.onnx"), **how)


def test_boxes_and_a_schedule_of_detections_are_refused(estimator: PoseEstimator, tmp_path: Path):
    with pytest.raises(ConfigError, match="leave boxes out"):
        estimator.predict(PICTURE, Boxes(np.array([[1, 1, 9, 9]], np.float32)))
    with pytest.raises(ConfigError, match="leave detect_every out"):
        next(estimator.stream([Frame(PICTURE)], detect_every=DetectSchedule(2)))
    clip = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(ConfigError, match="leave detect_every out"):
        predict_video(read_video(clip), estimator, tmp_path / "out", detect_every="auto")
    assert not (tmp_path / "out").exists()


def test_people_of_a_video_keep_their_ids(estimator: PoseEstimator, tmp_path: Path):
    found = list(estimator.stream(write_clip(tmp_path / "clip.mp4")))
    assert [poses.ids.tolist() for _, poses in found[1:]] == [[1, 2]] * (len(found) - 1)
    assert set(found[-1][1].states) == {"detected"}


def test_a_run_tells_the_network_and_its_own_boxes(estimator: PoseEstimator):
    about = describe_run(estimator)
    assert (about["model"], about["boxes"], about["box_threshold"]) == ("yolo", "the network's own", 0.25)
    assert (about["padding"], about["decoder"], about["flip"]) == (None, None, False)
    assert checksums(estimator)["boxes_sha256"] is None
