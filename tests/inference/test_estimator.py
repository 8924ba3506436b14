"""From a picture to poses through a detector: what finds people, and pictures of every kind."""

import json
from pathlib import Path

import numpy as np
import pytest

from lightpose import Boxes, PoseEstimator, read_image
from lightpose.detect.open import open_detector
from lightpose.errors import BoxesError, ConfigError, ShapeError, WeightsError
from lightpose.inference.folder import predict_images
from lightpose.io.sources import find_images
from lightpose.weights import find_weights, has_detector

ASTRONAUT = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.jpg"


def left_half(image: np.ndarray) -> Boxes:
    return Boxes(np.array([[0, 0, image.shape[1] / 2, image.shape[0]]]), np.array([0.5]))


def test_any_function_from_a_picture_to_boxes_is_a_detector():
    estimator = PoseEstimator(detector=left_half)
    picture = read_image(ASTRONAUT)
    poses = estimator.predict(picture)
    assert poses.boxes.xywh.tolist() == [[0, 0, 256, 512]]
    assert np.array_equal(poses.keypoints, estimator.predict(picture, [[0, 0, 256, 512]]).keypoints)


def test_given_boxes_go_before_the_detectors():
    poses = PoseEstimator(detector=left_half).predict(ASTRONAUT, [[1, 2, 300, 400], [5, 5, 100, 200]])
    assert poses.boxes.xywh.tolist() == [[1, 2, 300, 400], [5, 5, 100, 200]]


@pytest.mark.parametrize(("threshold", "count"), [(None, 1), (0.5, 1), (0.51, 0)])
def test_the_threshold_holds_for_any_detector(threshold: float | None, count: int):
    assert len(PoseEstimator(detector=left_half, detector_threshold=threshold).predict(ASTRONAUT)) == count


def test_found_people_whose_joints_are_unsure_are_left_out_and_given_ones_never():
    box = left_half(read_image(ASTRONAUT)).xywh
    [score] = PoseEstimator(detector=left_half).predict(ASTRONAUT).scores
    strict = PoseEstimator(detector=left_half, min_person_score=float(score) + 0.01)
    assert len(strict.predict(ASTRONAUT)) == 0
    assert len(strict.predict(ASTRONAUT, box)) == 1
    assert len(PoseEstimator(detector=left_half, min_person_score=float(score)).predict(ASTRONAUT)) == 1


def test_who_is_found_twice_is_there_once_and_who_is_given_twice_twice(tmp_path: Path):
    """The second box is nearly the first one and scores more; the third is somewhere else."""
    boxes = Boxes(np.array([[60, 15, 300, 480], [64, 15, 300, 480], [400, 300, 100, 200]]), np.array([0.5, 0.9, 0.4]))
    twice = PoseEstimator(detector=lambda _: boxes)
    assert twice.predict(ASTRONAUT).boxes.xywh.tolist() == boxes.xywh[1:].tolist()
    assert len(twice.predict(ASTRONAUT, boxes)) == 3
    rows = [{"file_name": ASTRONAUT.name, "bbox": box} for box in boxes.xywh.tolist()]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    assert len(PoseEstimator(detector=tmp_path / "boxes.json").predict(ASTRONAUT)) == 3
    results = predict_images(find_images([str(ASTRONAUT)]), twice, tmp_path / "out")
    assert results.people == 2


def test_the_least_score_of_people_is_the_detectors_own_unless_another_is_given(tmp_path: Path):
    pytest.importorskip("onnx")
    from tests.detect import graphs

    path = graphs.ours(tmp_path / "mine.onnx", np.array([[3, 2, 46, 63], [5, 5, 20, 30]]), min_person_score=1.0)
    assert len(PoseEstimator(detector=path).predict(ASTRONAUT)) == 0
    assert len(PoseEstimator(detector=path, min_person_score=0).predict(ASTRONAUT)) == 2


def test_a_file_of_boxes_goes_by_the_pictures_name(tmp_path: Path):
    row = '{"file_name": "astronaut.jpg", "bbox": [1, 2, 300, 400], "score": %s}'
    (tmp_path / "b.json").write_text(f"[{row % 0.9}, {row % 0.2}]")
    estimator = PoseEstimator(detector=tmp_path / "b.json", detector_threshold=0.5)
    assert estimator.predict(ASTRONAUT).boxes.xywh.tolist() == [[1, 2, 300, 400]]
    with pytest.raises(BoxesError, match="goes by the names of images; give an image's file, or its boxes"):
        estimator.predict(read_image(ASTRONAUT))


def test_the_builtin_detector_is_the_default_where_there_is_one():
    if has_detector():
        assert open_detector().name == "person_detector.onnx (lightpose)"
    else:
        assert open_detector() == open_detector("whole")
        with pytest.raises(WeightsError, match="brings no detector; give the file of one, or whole"):
            open_detector("builtin")


def test_what_is_no_detector_is_refused():
    with pytest.raises(ConfigError, match=r"detector 'best.pt' is unknown; use builtin, whole, or an \.onnx or \.json"):
        open_detector("best.pt")
    with pytest.raises(WeightsError, match="give it to --model"):
        open_detector(find_weights("lpn50"))
    with pytest.raises(ConfigError, match="the detector's threshold must be from 0 to 1, not 2"):
        PoseEstimator(detector=left_half, detector_threshold=2)
    with pytest.raises(ConfigError, match="the least score of a person must be from 0 to 1, not -1"):
        PoseEstimator(detector=left_half, min_person_score=-1)


@pytest.fixture
def crowd(tmp_path: Path) -> PoseEstimator:
    """A detector that finds 200 people on every picture, 20 across and 10 down, and a small network for their poses."""
    pytest.importorskip("onnx")
    from tests.detect import graphs

    x, y = np.meshgrid(np.arange(0, 60, 3), np.arange(0, 90, 9))
    people = np.stack([x, y, x + 2.5, y + 8], -1).reshape(-1, 4)
    detector = graphs.ours(tmp_path / "crowd.onnx", people, np.linspace(0.9, 0.4, 200))
    return PoseEstimator(graphs.pose_network(tmp_path / "pose.onnx"), detector, batch=32)


@pytest.mark.parametrize(("hw", "people"), [((96, 64), 200), ((10, 6000), 20), ((6000, 10), 10), ((1, 1), 0)])
def test_pictures_of_every_shape_get_a_pose_for_each_box_in_them(
    crowd: PoseEstimator, hw: tuple[int, int], people: int
):
    poses = crowd.predict(np.full((*hw, 3), 255, np.uint8))
    assert poses.keypoints.shape == (people, 3, 3)
    assert np.isfinite(poses.keypoints).all()
    poses.boxes.check_inside(*hw)


def test_two_hundred_people_come_in_batches_as_they_do_one_by_one(crowd: PoseEstimator):
    """And none of the network's batches is larger than asked for."""
    picture = np.random.default_rng(0).integers(0, 256, (192, 128, 3), dtype=np.uint8)
    sizes: list[int] = []
    heatmaps = crowd.runtime.heatmaps
    crowd.runtime.heatmaps = lambda crops: sizes.append(len(crops)) or heatmaps(crops)
    poses = crowd.predict(picture, crowd.find_people(picture))
    assert sizes == [32] * 6 + [8]
    for number in range(200):
        alone = crowd.predict(picture, poses.boxes.xywh[[number]])
        np.testing.assert_allclose(alone.keypoints[0], poses.keypoints[number], atol=1e-4)


def test_nobody_is_invented_in_a_black_picture(tmp_path: Path):
    pytest.importorskip("onnx")
    from tests.detect import graphs

    one = graphs.ours(tmp_path / "one.onnx", np.array([[3, 2, 46, 63]] * 3), np.zeros(3), seen=True)
    estimator = PoseEstimator(graphs.pose_network(tmp_path / "pose.onnx"), one)
    poses = estimator.predict(np.zeros((512, 512, 3), np.uint8))
    assert poses.keypoints.shape == (0, 3, 3)
    assert len(estimator.predict(np.full((512, 512, 3), 255, np.uint8))) == 1


def test_the_builtin_detector_finds_the_astronaut_and_nobody_in_the_dark():
    if not has_detector():
        pytest.skip("this copy of lightpose brings no detector")
    estimator = PoseEstimator()
    poses = estimator.predict(ASTRONAUT)
    left, top, width, height = poses.boxes.xywh[0].tolist()
    assert left < 120
    assert top < 80
    assert left + width > 300
    assert top + height > 400
    for hw in ((300, 400), (1, 1), (10, 6000)):
        assert len(estimator.predict(np.zeros((*hw, 3), np.uint8))) == 0


def test_a_file_of_boxes_keeps_boxes_of_any_score_unless_a_threshold_is_given(tmp_path: Path):
    rows = [{"file_name": "astronaut.jpg", "bbox": [20, 12, 350, 500], "score": score} for score in (-3, 0.4, 0.8)]
    (tmp_path / "b.json").write_text(json.dumps(rows))
    for threshold, people in ((None, 3), (0.5, 1)):
        estimator = PoseEstimator(detector=tmp_path / "b.json", detector_threshold=threshold)
        assert len(estimator.find_people(read_image(ASTRONAUT), ASTRONAUT)) == people


@pytest.mark.parametrize("wrong", [None, 3, {"a": 1}])
def test_what_is_neither_a_name_nor_an_array_is_refused_by_its_type(crowd: PoseEstimator, wrong: object):
    with pytest.raises(ShapeError, match=f"an RGB array or a PIL image, not a {type(wrong).__name__}"):
        crowd.predict(wrong)
