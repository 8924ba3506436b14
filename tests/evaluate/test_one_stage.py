"""Networks that find boxes and joints at once, measured in the boxes that they find."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("faster_coco_eval")

from lightpose import evaluate
from lightpose.errors import ConfigError
from lightpose.io.images import read_image
from lightpose.ops.letterbox import letterbox
from tests.detect.graphs import INPUT_HW
from tests.helpers import DrawnSet, draw_set
from tests.runtime import one_stage_graphs as graphs


def perfect(data: DrawnSet, path: Path, off_px: float = 0, **how: object) -> Path:
    """A graph that gives the labels of the set's only image, its joints moved by so many pixels of the image."""
    document = json.loads(data.annotations.read_text())
    scale = letterbox(read_image(data.images / document["images"][0]["file_name"]), INPUT_HW).scale_xy
    rows = document["annotations"]
    boxes = np.array([row["bbox"] for row in rows])
    moved = np.array([off_px, 0, -1])
    joints = np.array([row["keypoints"] for row in rows]).reshape(len(rows), 17, 3) + moved
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1) * [*scale, *scale]
    scores = np.linspace(0.9, 0.01, len(rows))
    return graphs.yolo_pose(path, joints * [*scale, 1], corners, scores, **how)


@pytest.fixture
def data(tmp_path: Path) -> DrawnSet:
    return draw_set(tmp_path / "data", people=(2,))


def test_labels_given_back_are_100_and_moved_ones_less(data, tmp_path):
    """The second person scores 0.01, less than would be shown, and counts."""
    found = evaluate.run(perfect(data, tmp_path / "a.onnx"), data.annotations, data.images, bootstrap=5)
    assert found.evaluation.scores.ap == pytest.approx(1)
    assert len(found.evaluation.results) == 2
    moved = evaluate.run(perfect(data, tmp_path / "b.onnx", off_px=6), data.annotations, data.images)
    assert 0 < moved.evaluation.scores.ap < 0.9
    told = json.loads(found.report.to_json())
    assert (told["boxes"], told["box_threshold"], told["flip"]) == ("the network's own", 0.001, False)
    assert (told["decoder"], told["geometry"], told["padding"]) == ("none", "none", 0)
    assert "boxes of the network's own, whole images, OKS-NMS hard 0.9" in str(found)


def test_a_threshold_leaves_people_out(data, tmp_path):
    path = perfect(data, tmp_path / "a.onnx")
    found = evaluate.run(path, data.annotations, data.images, box_threshold=0.25)
    assert (len(found.evaluation.results), round(found.evaluation.scores.ap, 2)) == (1, 0.5)


def test_progress_counts_images(data, tmp_path):
    steps = []
    path = perfect(data, tmp_path / "a.onnx")
    evaluate.run(path, data.annotations, data.images, progress=lambda *step: steps.append(step))
    assert steps == [("images", 1, 1)]


def test_two_of_them_are_held_against_each_other_and_no_other_kind(data, tmp_path):
    good, bad = perfect(data, tmp_path / "a.onnx"), perfect(data, tmp_path / "b.onnx", off_px=6)
    found = evaluate.run(good, data.annotations, data.images, against=bad, bootstrap=5)
    assert found.report.against.figures["ap"] < 0.9
    for one, other in ((good, "lpn50"), ("lpn50", good)):
        with pytest.raises(ConfigError, match="cannot be measured on the same people: one of them finds its own"):
            evaluate.run(one, data.annotations, data.images, against=other)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"detector": "builtin"}, "leave --detector out"), ({"boxes": "boxes.json"}, "leave --boxes out"),
        ({"pck": "head"}, "leave --pck out"), ({"protocol": "paper"}, "it takes no decoder"),
        ({"padding": 1.1}, "it takes no padding"), ({"box_threshold": 2.0}, "must be from 0 to 1"),
    ],
)  # fmt: skip
def test_what_would_not_be_used_is_refused(data, tmp_path, how, told):
    with pytest.raises(ConfigError, match=told):
        evaluate.run(perfect(data, tmp_path / "a.onnx"), data.annotations, data.images, **how)
