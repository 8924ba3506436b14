"""Detectors from ONNX files: that each kind is known, its pixels are right, and its boxes land in the picture."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper

from lightpose.detect.layouts import of_one_image
from lightpose.detect.onnx import OnnxDetector
from lightpose.errors import ConfigError, WeightsError
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.types import SPEC_KEY, DetectorSpec
from tests.detect import graphs
from tests.detect.graphs import CELLS, INPUT_HW, KINDS, SCORES

PICTURE = np.full((100, 200, 3), 90, np.uint8)
EXPECTED = [[25, 12.5, 50, 75], [93.75, 6.25, 93.75, 90.625]]
"""PEOPLE in that picture, whose 200 pixels become 64: left, top, width, height."""


@pytest.mark.parametrize("kind", KINDS)
def test_people_of_every_kind_of_file_land_in_the_picture_and_nobody_else_does(tmp_path: Path, kind: str):
    detector = OnnxDetector(KINDS[kind](tmp_path / "detector.onnx"))
    found = detector(PICTURE)
    np.testing.assert_allclose(found.xywh, EXPECTED, rtol=1e-5)
    np.testing.assert_allclose(found.scores, SCORES, rtol=1e-5)
    assert detector.name == f"detector.onnx ({kind.removesuffix(' raw').replace('with masks', 'and later')})"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lightpose"])
def test_outputs_of_undeclared_shape_are_known_by_what_comes_out(tmp_path: Path, kind: str):
    found = OnnxDetector(KINDS[kind](tmp_path / "a.onnx", open_outputs=True))(PICTURE)
    np.testing.assert_allclose(found.xywh, EXPECTED, rtol=1e-5)


PERSON = np.float32([8, 4, 24, 28])
SCORE, FIRST = np.float32([0.9]), np.array([0])
LISTS = {
    "YOLO end to end": {"output0": (np.float32([[[*PERSON, 0.9, 0]]]), 1)},
    "YOLOv7 end to end": {"output": (np.float32([[0, *PERSON, 0, 0.9]]), 0)},
    "YOLO with EfficientNMS": {
        "num_dets": (np.int32([[1]]), -1),
        "det_boxes": (PERSON[None, None], 1),
        "det_scores": (SCORE[None], 1),
        "det_classes": (np.int32([[0]]), 1),
    },
    "MMDeploy RTMDet": {"dets": (np.float32([[[*PERSON, 0.9]]]), 1), "labels": (FIRST[None], 1)},
    "torchvision": {"a": (PERSON[None], 0), "b": (FIRST + 1, 0), "c": (SCORE, 0)},
    "lightpose": {"boxes": (PERSON[None, None], 1), "scores": (SCORE[None], 1)},
}
"""By layout, the outputs for one person, and the axis that has no length where there is nobody."""


@pytest.mark.parametrize("kind", LISTS)
def test_a_file_that_finds_nobody_in_grey_is_known_and_finds_nobody_and_one(tmp_path: Path, kind: str):
    """A grey picture is what a file is recognised by."""
    own = {SPEC_KEY: DetectorSpec("test", input_hw=INPUT_HW).to_json()} if kind == "lightpose" else {}
    detector = OnnxDetector(graphs.picky(tmp_path / "detector.onnx", LISTS[kind], own))
    assert detector.name == f"detector.onnx ({kind})"
    assert len(detector(np.full((96, 64, 3), 114, np.uint8))) == 0
    found = detector(PICTURE)
    np.testing.assert_allclose(found.xywh, EXPECTED[:1], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-5)


@pytest.mark.parametrize("kind", ["YOLOX", "YOLOX raw", "YOLOv5, YOLOv7", "YOLOv6", "YOLOv8 and later"])
def test_a_grid_without_anybody_gives_nobody(tmp_path: Path, kind: str):
    assert len(OnnxDetector(KINDS[kind](tmp_path / "a.onnx"), 0.95)(PICTURE)) == 0


@pytest.mark.parametrize(
    "outputs",
    [
        {"batchno_classid_x1y1x2y2_score": np.float32([[0, 0, *PERSON, 0.9]])},
        {"output": np.float32([[0, 0.9, *PERSON]])},
        {"output": np.float32([[[0, *PERSON, 0, 0.9]]])},
    ],
    ids=["PINTO's order", "six columns without a batch", "seven with one"],
)
def test_rows_that_may_be_in_any_order_are_refused_and_not_guessed(tmp_path: Path, outputs):
    with pytest.raises(WeightsError, match="no person detector of a known kind"):
        OnnxDetector(graphs.write_graph(tmp_path / "a.onnx", outputs))


def test_an_empty_batch_is_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match="it gives nothing for an image, not even an empty list"):
        OnnxDetector(graphs.write_graph(tmp_path / "a.onnx", {"output0": np.zeros((0, 300, 6), np.float32)}))


RGB = np.array([200, 100, 50])
UNIT = RGB / 255
MMDET = (RGB[::-1] - [103.53, 116.28, 123.675]) / [57.375, 57.12, 58.395]


@pytest.mark.parametrize(
    ("write", "output", "places", "expected"),
    [
        (graphs.yolox, "output", [[0, 20, 5], [0, 21, 5], [0, 22, 5]], RGB[::-1]),
        (graphs.yolov5, "output0", [[0, 20, 5], [0, 21, 5], [0, 22, 5]], UNIT),
        (graphs.yolov6, "outputs", [[0, 20, 5], [0, 21, 5], [0, 22, 5]], UNIT),
        (graphs.yolov8, "output0", [[0, 4, 20], [0, 4, 21], [0, 4, 22]], UNIT),
        (graphs.end_to_end, "output0", [[0, 0, 4], [0, 1, 4], [0, 2, 4]], UNIT),
        (graphs.yolov7_end_to_end, "output", [[0, 6], [1, 6], [2, 6]], UNIT),
        (graphs.efficient_nms, "det_scores", [[0, 0], [0, 1], [0, 2]], UNIT),
        (graphs.mmdeploy, "dets", [[0, 0, 4], [0, 1, 4], [0, 2, 4]], MMDET),
        (graphs.torchvision, "3027", [[0], [1], [2]], UNIT),
    ],
)
def test_every_network_gets_its_pixels_as_it_wants_them(tmp_path: Path, write, output, places, expected):
    """The graph puts the first pixel's channels, as they reach it, in the place of three scores."""
    detector = OnnxDetector(write(tmp_path / "a.onnx", colors=(output, np.array(places))))
    picture = np.full((96, 64, 3), RGB, np.uint8)
    graph = detector._graph
    found = graph.run(picture, detector._layout.pixels, graph._sessions.first)[output]
    batch_is_off = tuple(np.array(places).T[-found.ndim :])
    np.testing.assert_allclose(found[batch_is_off], expected, rtol=1e-5)


def test_mmdeploys_yolox_is_told_by_its_name_and_gets_plain_bgr(tmp_path: Path):
    assert OnnxDetector(graphs.mmdeploy(tmp_path / "yolox_m_humanart.onnx")).name.endswith("(MMDeploy YOLOX)")


def test_half_precision_graphs_get_half_precision(tmp_path: Path):
    detector = OnnxDetector(graphs.yolov8(tmp_path / "a.onnx", input_type=TensorProto.FLOAT16))
    np.testing.assert_allclose(detector(PICTURE).xywh, EXPECTED, rtol=1e-5)


def test_a_graph_of_open_size_gets_the_size_it_was_exported_with(tmp_path: Path):
    path = graphs.yolov8(tmp_path / "a.onnx", input_shape=("batch", 3, "height", "width"))
    np.testing.assert_allclose(OnnxDetector(path)(PICTURE).xywh, EXPECTED, rtol=1e-5)


@pytest.mark.parametrize(("threshold", "count"), [(None, 1), (0.7, 1), (0.5, 2), (0.95, 0)])
def test_the_threshold_is_the_files_own_unless_another_is_given(tmp_path: Path, threshold: float | None, count: int):
    detector = OnnxDetector(graphs.ours(tmp_path / "a.onnx", threshold=0.65), threshold)
    found = detector(PICTURE)
    assert len(found) == count
    assert detector.threshold == (0.65 if threshold is None else threshold)
    assert found.xywh.shape == (count, 4)


def test_a_class_called_person_is_found_by_name_and_an_only_class_whatever_its_name(tmp_path: Path):
    rows = np.zeros((1, 7, CELLS), np.float32)
    rows[0, :4, 5] = 16, 16, 16, 24
    rows[0, 6, 5] = 0.8
    names = {"names": "{0: 'car', 1: 'dog', 2: 'Person'}"}
    found = OnnxDetector(graphs.write_graph(tmp_path / "a.onnx", {"o": rows}, metadata=names))(PICTURE)
    np.testing.assert_allclose(found.xywh, [[25, 12.5, 50, 75]])
    path = graphs.write_graph(tmp_path / "b.onnx", {"o": rows[:, [0, 1, 2, 3, 6]]}, metadata={"names": "{0: 'head'}"})
    assert OnnxDetector(path)(PICTURE).scores == pytest.approx([0.8])


def test_what_reaches_past_the_picture_is_clipped_and_what_lies_in_the_grey_is_nobody(tmp_path: Path):
    people = np.array([[-9, -3, 20, 80], [10, 40, 30, 90], [50, 10, 99, 30]], np.float32)
    found = OnnxDetector(graphs.ours(tmp_path / "a.onnx", people, np.array([0.9, 0.8, 0.7])))(PICTURE)
    np.testing.assert_allclose(found.xywh, [[0, 0, 62.5, 100], [156.25, 31.25, 43.75, 62.5]])


@pytest.mark.parametrize("kind", ["YOLOX raw", "YOLOv5, YOLOv7", "YOLO end to end", "YOLOv7 end to end", "torchvision"])
def test_huge_boxes_are_the_picture_and_far_or_unlikely_infinite_ones_are_nobody(tmp_path: Path, kind: str):
    detector = OnnxDetector(KINDS[kind](tmp_path / "a.onnx"))
    boxes = np.array([[-1e30, -1e30, 1e30, 1e30], [1e30, 0, 2e30, 9], [0, 0, np.inf, np.nan], [9, 9, 5, 20]])
    _, scores = detector._choose((boxes, np.array([0.9, 0.8, 0.1, 0.7])))
    assert scores.tolist() == pytest.approx([0.9, 0.8])
    path = graphs.ours(tmp_path / "b.onnx", boxes[:3], np.array([0.9, 0.8, 0.1]))
    found = OnnxDetector(path)(PICTURE)
    np.testing.assert_allclose(found.xywh, [[0, 0, 200, 100]])


def test_boxes_and_scores_that_are_not_as_many_are_refused(tmp_path: Path):
    detector = OnnxDetector(graphs.ours(tmp_path / "a.onnx"))
    for boxes in (np.zeros((1, 4)), np.zeros((2, 5))):
        with pytest.raises(WeightsError, match=r"it gives boxes of shape \(., .\) and scores of shape \(2,\)"):
            detector._choose((boxes, np.array([0.9, 0.8])))


def test_raw_sizes_beyond_all_measure_are_refused_without_a_warning(tmp_path: Path):
    rows = graphs._grid()[0]
    rows[:, :2] = 0.5
    rows[20, 2:4] = 1e4
    path = graphs.write_graph(tmp_path / "a.onnx", {"output": rows[None].astype(np.float32)})
    with pytest.raises(WeightsError, match="not finite numbers"):
        OnnxDetector(path)(PICTURE)


def test_boxes_turned_inside_out_are_nobody(tmp_path: Path):
    people = np.array([[20, 4, 8, 28], [5, 5, 5, 9]], np.float32)
    assert len(OnnxDetector(graphs.ours(tmp_path / "a.onnx", people))(PICTURE)) == 0


@pytest.mark.parametrize("hw", [(1, 1), (1, 500), (10, 6000), (3000, 2), (96, 64), (97, 63)])
def test_boxes_are_inside_pictures_of_any_size(tmp_path: Path, hw: tuple[int, int]):
    generator = np.random.default_rng(0)
    corner = generator.uniform(-20, 90, (300, 2))
    people = np.concatenate([corner, corner + generator.uniform(0, 60, (300, 2))], 1)
    detector = OnnxDetector(graphs.ours(tmp_path / "a.onnx", people, generator.uniform(0, 1, 300)), 0)
    found = detector(np.zeros((*hw, 3), np.uint8))
    found.check_inside(*hw)
    assert (found.xywh[:, :2] >= 0).all()
    assert (found.xywh[:, :2] + found.xywh[:, 2:] <= np.array(hw[::-1]) * (1 + 1e-6)).all()


def test_two_hundred_people_are_all_found(tmp_path: Path):
    x, y = np.meshgrid(np.arange(0, 60, 3), np.arange(0, 30, 3))
    people = np.stack([x, y, x + 2.5, y + 2.8], -1).reshape(-1, 4)
    found = OnnxDetector(graphs.ours(tmp_path / "a.onnx", people, np.linspace(0.9, 0.4, 200)))(PICTURE)
    assert len(found) == 200
    np.testing.assert_allclose(found.xywh[0], [0, 0, 2.5 / 0.32, 2.8 / 0.32], rtol=1e-5)


def test_the_picture_is_left_alone(tmp_path: Path):
    picture = PICTURE.copy()
    OnnxDetector(graphs.ours(tmp_path / "a.onnx"))(picture)
    assert np.array_equal(picture, PICTURE)


def unknown(path: Path) -> Path:
    return graphs.write_graph(path, {"logits": np.zeros((1, 100, 92), np.float32), "pred": np.zeros((1, 100, 4), "f")})


def two_at_a_time(path: Path) -> Path:
    return graphs.yolov8(path, input_shape=(2, 3, *INPUT_HW))


def damaged(path: Path) -> Path:
    return graphs.ours(path, np.full((2, 4), np.nan))


def no_person(path: Path) -> Path:
    return graphs.yolov8(path, metadata={"names": "{0: 'cat', 1: 'dog', 2: 'cow'}"})


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (
            unknown,
            r"no person detector of a known kind: it gives logits \(1, 100, 92\), pred \(1, 100, 4\); known are",
        ),
        (two_at_a_time, r"one image at a time: its input is images tensor\(float\) \[2, 3, 96, 64\]"),
        (graphs.pose_network, "this is a pose network, not a person detector; give it to --model"),
        (no_person, "it finds no class 'person', but cat, dog, cow; use another"),
    ],
)
def test_files_that_will_not_do_are_refused_with_the_reason(tmp_path: Path, write, complaint: str):
    with pytest.raises(WeightsError, match=complaint) as caught:
        OnnxDetector(write(tmp_path / "file.onnx"))
    assert str(caught.value).count("file.onnx") == 1


def test_a_detector_is_no_pose_network(tmp_path: Path):
    with pytest.raises(WeightsError, match="this is a person detector, not a pose network; give it to --detector"):
        OnnxRuntime(graphs.ours(tmp_path / "a.onnx"))


def test_damaged_weights_and_files_are_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match="not finite numbers, so its weights are damaged"):
        OnnxDetector(damaged(tmp_path / "a.onnx"))(PICTURE)
    (tmp_path / "b.onnx").write_bytes((tmp_path / "a.onnx").read_bytes()[:200])
    with pytest.raises(WeightsError, match="not a whole ONNX file"):
        OnnxDetector(tmp_path / "b.onnx")


def test_a_file_for_tensorrt_is_refused_for_what_it_is(tmp_path: Path):
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 96, 64))
    counts = helper.make_tensor_value_info("num_dets", TensorProto.INT32, (1, 1))
    node = helper.make_node("EfficientNMS_TRT", ["images"], ["num_dets"], domain="TRT")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("TRT", 1)]
    graph = helper.make_graph([node], "trt", [images], [counts])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "a.onnx")
    with pytest.raises(WeightsError, match="needs TRT:EfficientNMS_TRT, which ONNX Runtime has not; export it for"):
        OnnxDetector(tmp_path / "a.onnx")


def test_a_graph_that_takes_nothing_is_refused(tmp_path: Path):
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, (1, 1, 6))
    value = helper.make_tensor("value", TensorProto.FLOAT, (1, 1, 6), [0.0] * 6)
    graph = helper.make_graph([helper.make_node("Constant", [], ["rows"], value=value)], "constant", [], [rows])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(WeightsError, match="takes no image"):
        OnnxDetector(tmp_path / "a.onnx")


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_out_of_its_range_is_refused(tmp_path: Path, threshold: float):
    with pytest.raises(ConfigError, match="the detector's threshold must be from 0 to 1"):
        OnnxDetector(tmp_path / "none.onnx", threshold)


def test_outputs_that_do_not_fit_the_input_are_refused(tmp_path: Path):
    """As of a graph whose raw grid was made for another size."""
    detector = OnnxDetector(graphs.yolox_raw(tmp_path / "a.onnx"))
    outputs = {name: value[:, :5] for name, value in detector._graph.grey().items()}
    with pytest.raises(WeightsError, match="what it gives does not fit its input or itself: "):
        detector._decode(of_one_image(outputs))
