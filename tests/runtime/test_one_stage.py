"""Networks that find boxes and joints at once: recognised, fed as they want, and read as a plain reading has it."""

import json
import pickle
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto

from benchmarks.one_stage import export
from lightpose.errors import ConfigError, WeightsError
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.skeletons import COCO17, HALPE26, Skeleton, from_toml
from lightpose.types import ModelSpec
from lightpose.weights.foreign.graphs import adopt_graph, identify_graph
from lightpose.weights.foreign.settings import Settings
from lightpose.weights.open import open_network, open_runtime
from tests.detect.graphs import CELLS, INPUT_HW, SCORES, write_graph
from tests.runtime import one_stage_graphs as graphs
from tests.runtime.one_stage_graphs import KINDS, keypoints

PICTURE = np.full((100, 200, 3), 90, np.uint8)
SCALE = 0.32
EXPECTED = [[25, 12.5, 50, 75], [93.75, 6.25, 93.75, 90.625]]
"""PEOPLE in that picture, whose 200 pixels become 64: left, top, width, height."""
RGB = np.array([200, 100, 50])


def opened(path: Path, threads: int = 1, **how: object) -> OneStageRuntime:
    network = open_network(path, threads, **how)  # type: ignore[arg-type]
    assert isinstance(network, OneStageRuntime)
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_people_and_joints_of_every_kind_land_in_the_picture_once_and_surest_first(tmp_path: Path, kind: str):
    network = opened(KINDS[kind](tmp_path / "a.onnx"))
    found = network.find(PICTURE)
    np.testing.assert_allclose(found.boxes.xywh, EXPECTED, rtol=1e-5)
    np.testing.assert_allclose(found.scores, SCORES, rtol=1e-5)
    np.testing.assert_array_equal(found.scores, found.boxes.scores)
    np.testing.assert_allclose(found.keypoints, keypoints() / [SCALE, SCALE, 1], rtol=1e-5)
    assert found.keypoints[0, 0, 0] < 0  # joints are not clipped
    assert (found.skeleton, found.image_hw, network.spec.family) == (COCO17, (100, 200), "people")


@pytest.mark.parametrize(
    ("write", "output", "places", "wanted"),
    [
        (graphs.yolo_pose, "output0", [[0, 4, 0], [0, 4, 1], [0, 4, 2]], RGB / 255),
        (graphs.end_to_end, "output0", [[0, 1, 4], [0, 2, 4], [0, 3, 4]], RGB / 255),
        (graphs.rtmo, "keypoints", [[0, 0, 0, 2], [0, 0, 1, 2], [0, 0, 2, 2]], RGB[::-1]),
    ],
)
def test_each_kind_gets_its_pixels_as_its_project_has_them(tmp_path: Path, write, output, places, wanted):
    """YOLO: RGB of 0 to 1. RTMO: BGR of 0 to 255, which its configuration neither turns round nor scales."""
    network = opened(write(tmp_path / "a.onnx", colors=(output, np.array(places))))
    graph, picture = network._graph, np.full((*INPUT_HW, 3), RGB, np.uint8)
    given = graph.run(picture, network._pixels, graph._sessions.first)[output]
    np.testing.assert_allclose(given[tuple(np.array(places).T)], wanted, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, *INPUT_HW), ("batch", *INPUT_HW, 3)], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.UINT8], ids=["fp16", "bytes"])
def test_inputs_of_other_types_and_orders_are_fed(tmp_path: Path, kind, shape):
    network = opened(graphs.yolo_pose(tmp_path / "a.onnx", input_type=kind, input_shape=shape))
    np.testing.assert_allclose(network.find(PICTURE).keypoints, keypoints() / [SCALE, SCALE, 1], rtol=1e-5)
    given = network.tensor(np.full((*INPUT_HW, 3), 255, np.uint8))
    assert (given.max(), given.shape[1:]) == (255 if kind == TensorProto.UINT8 else 1, shape[1:])


def plain_letterbox(image: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The image at the top left of a grey square, and input pixels to one of its own, (x, y)."""
    height, width = image.shape[:2]
    scale = min(side / height, side / width)
    size = round(width * scale), round(height * scale)
    pixels = np.full((side, side, 3), 114, np.uint8)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels[: size[1], : size[0]] = cv2.resize(image, size, interpolation=way)
    return pixels, np.array(size) / [width, height]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:4], other[2:4])
    both = np.prod(np.maximum(high - low, 0))
    return both / (np.prod(one[2:4] - one[:2]) + np.prod(other[2:4] - other[:2]) - both)


def plain_reading(kind: str, outputs: list[np.ndarray], threshold: float) -> list[np.ndarray]:
    """Corners, score, joints of each person in input pixels, person by person, as the projects' own code reads them."""
    if kind == "rtmo":
        dets, joints = outputs
        people = [np.concatenate([box, points.ravel()]) for box, points in zip(dets[0], joints[0], strict=True)]
    elif kind == "yolo-pose":
        people = []
        for column in outputs[0][0].T:
            x, y, w, h = column[:4]
            people.append(np.concatenate([[x - w / 2, y - h / 2, x + w / 2, y + h / 2], column[4:]]))
    else:
        people = [np.delete(row, 5) for row in outputs[0][0]]
    people = sorted((each for each in people if each[4] >= threshold), key=lambda each: -each[4])
    if kind == "yolo-pose":
        kept: list[np.ndarray] = []
        for each in people:
            if all(overlap(each, other) <= 0.7 for other in kept):
                kept.append(each)
        people = kept
    return people


@pytest.mark.parametrize("kind", ["yolo-pose", "yolo-pose-end-to-end", "rtmo"])
@pytest.mark.parametrize("hw", [(256, 256), (300, 171), (90, 200)])
def test_random_networks_give_what_a_plain_reading_gives(tmp_path: Path, kind, hw):
    path = export(kind, tmp_path / "a.onnx", hw=(256, 256), seed=3)
    rough = np.random.default_rng(0).integers(0, 256, (hw[0] // 10, hw[1] // 10, 3), dtype=np.uint8)
    image = cv2.resize(rough, hw[::-1], interpolation=cv2.INTER_CUBIC)
    pixels, scale = plain_letterbox(image, 256)
    planes = pixels[..., ::-1] if kind == "rtmo" else pixels / 255
    session = onnxruntime.InferenceSession(str(path))
    outputs = session.run(None, {"images": np.ascontiguousarray(planes.transpose(2, 0, 1)[None], np.float32)})
    network = opened(path)
    wanted = plain_reading(kind, outputs, network.threshold)
    inside = [
        row for row in wanted if (np.minimum(row[2:4] / scale, hw[::-1]) - np.maximum(row[:2], 0) / scale >= 1).all()
    ]
    found = network.find(image)
    assert len(found) == len(inside) > 5
    np.testing.assert_allclose(found.scores, [row[4] for row in inside], atol=1e-5)
    joints = np.stack([row[5:].reshape(17, 3) / [*scale, 1] for row in inside])
    np.testing.assert_allclose(found.keypoints, joints, atol=2e-3)


def test_several_images_give_the_same_as_one_by_one(tmp_path: Path):
    path = export("yolo-pose", tmp_path / "a.onnx", hw=(128, 128))
    images = [np.random.default_rng(n).integers(0, 256, (60 + n, 90, 3), dtype=np.uint8) for n in range(5)]
    alone, together = opened(path), opened(path, 2)
    assert (alone.lanes, together.lanes) == (1, 2)
    for image, found in zip(images, together.find_all(images), strict=True):
        wanted = alone.find(image)
        np.testing.assert_array_equal(found.keypoints, wanted.keypoints)
        np.testing.assert_array_equal(found.boxes.xywh, wanted.boxes.xywh)
    assert together.find_all([]) == []


@pytest.mark.parametrize("kind", ["yolo-pose", "rtmo"])
def test_openvino_gives_the_same_as_onnx_runtime(tmp_path: Path, kind):
    pytest.importorskip("openvino")
    path = export(kind, tmp_path / "a.onnx", hw=(128, 128))
    image = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    first, second = (opened(path, engine=engine).find(image) for engine in ("onnxruntime", "openvino"))
    assert len(first) == len(second) > 0
    np.testing.assert_allclose(second.keypoints, first.keypoints, atol=0.01)


def test_a_copy_in_another_process_gives_the_same(tmp_path: Path):
    network = opened(graphs.yolo_pose(tmp_path / "a.onnx"))
    copy = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(copy.find(PICTURE).keypoints, network.find(PICTURE).keypoints)


@pytest.mark.parametrize(("threshold", "count"), [(None, 2), (0.7, 1), (0.95, 0), (0.0, 2)])
def test_people_below_the_threshold_are_left_out(tmp_path: Path, threshold, count):
    found = opened(graphs.yolo_pose(tmp_path / "a.onnx")).find(PICTURE, threshold)
    assert found.keypoints.shape == (count, 17, 3)


@pytest.mark.parametrize("write", KINDS.values())
def test_the_number_of_joints_is_told_by_the_file(tmp_path: Path, write):
    network = opened(write(tmp_path / "a.onnx", keypoints(joints=26)))
    assert network.spec.skeleton == HALPE26
    np.testing.assert_allclose(network.find(PICTURE).keypoints, keypoints(joints=26) / [SCALE, SCALE, 1], rtol=1e-5)


def test_joints_that_fit_no_skeleton_get_the_names_of_near_ones_and_can_be_named(tmp_path: Path):
    path = graphs.rtmo(tmp_path / "a.onnx", keypoints(joints=3))
    with pytest.raises(WeightsError, match=r"which joints its 3 are is not known; near are lsp14 \(14\)"):
        open_network(path)
    (tmp_path / "dog.toml").write_text('joints = ["nose", "left_paw", "right_paw"]')
    adopt_graph(path, tmp_path / "mine.onnx", Settings(skeleton=from_toml(tmp_path / "dog.toml")))
    network = opened(tmp_path / "mine.onnx")
    assert (network.spec.skeleton.name, network.notes) == ("dog", ())
    assert network.find(PICTURE).keypoints.shape == (2, 3, 3)


def test_joints_without_a_score_score_1_and_several_classes_are_told_apart(tmp_path: Path):
    """Ultralytics' kpt_shape [17, 2]; the second of two classes is the person."""
    names = graphs.said(17, 2, names="{0: 'dog', 1: 'person'}")
    path = graphs.yolo_pose(tmp_path / "a.onnx", keypoints()[..., :2], classes=2, metadata=names)
    found = opened(path).find(PICTURE)
    assert (found.keypoints[..., 2] == 1).all()
    np.testing.assert_allclose(found.keypoints[..., :2], keypoints()[..., :2] / SCALE, rtol=1e-5)
    np.testing.assert_allclose(found.scores, SCORES, rtol=1e-5)


def test_a_graph_of_open_size_gets_that_of_its_metadata_or_640(tmp_path: Path):
    for told, hw in ((graphs.said(), INPUT_HW), ({}, (640, 640))):
        sides = ("batch", 3, "height", "width")
        path = graphs.end_to_end(tmp_path / "a.onnx", input_shape=sides, metadata=told)
        assert identify_graph(path).spec.input_hw == hw
    assert identify_graph(path, Settings(input_hw=(320, 448))).spec.input_hw == (320, 448)


def test_nobody_in_grey_is_no_reason_not_to_know_a_file(tmp_path: Path):
    empty = {"dets": np.zeros((1, 0, 5), np.float32), "keypoints": np.zeros((1, 0, 17, 3), np.float32)}
    network = opened(write_graph(tmp_path / "a.onnx", empty))
    assert network.find(PICTURE).keypoints.shape == (0, 17, 3)


def test_a_detector_of_as_many_rows_is_not_taken_for_one(tmp_path: Path):
    """79 classes are 83 rows, as 26 joints would be; but their values are shares."""
    shares = np.random.default_rng(0).uniform(0, 1, (1, 83, CELLS)).astype(np.float32)
    with pytest.raises(WeightsError, match="no pose network of a known kind"):
        open_network(write_graph(tmp_path / "a.onnx", {"output0": shares}))


REFUSED = {
    "damaged": (lambda path: graphs.yolo_pose(path, np.full((2, 17, 3), np.nan, np.float32), metadata=graphs.said()),
                "boxes and joints are not finite numbers, so its weights are damaged"),
    "no person": (lambda path: graphs.end_to_end(path, metadata={"names": "{0: 'cat', 1: 'dog'}"}),
                  "it finds no class 'person', but cat, dog"),
    "two at a time": (lambda path: write_graph(path, {"a": np.ones((2, 9, 5), np.float32),
                                                      "b": np.ones((2, 9, 17, 3), np.float32)}, (2, 3, *INPUT_HW)),
                      "it takes 2 images at a time; export it for one"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_one_sentence_that_names_the_file(tmp_path: Path, kind):
    write, told = REFUSED[kind]
    with pytest.raises(WeightsError, match=told) as error:
        opened(write(tmp_path / "strange.onnx")).find(PICTURE)
    assert str(error.value).count("strange.onnx") == 1


def test_a_description_that_does_not_fit_is_refused(tmp_path: Path):
    path = graphs.rtmo(tmp_path / "a.onnx")
    spec = ModelSpec("a", Skeleton("two", ("nose", "tail")), INPUT_HW, family="people", adopted=True)
    with pytest.raises(WeightsError, match="it gives RTMO of 17 joints, not boxes with 2 as its description says"):
        OneStageRuntime(path, spec)


def test_settings_of_crops_are_refused_and_not_printed(tmp_path: Path):
    path = graphs.rtmo(tmp_path / "a.onnx")
    with pytest.raises(
        WeightsError, match="it gives RTMO, of whole images: leave --geometry, --padding, --decoder out"
    ):
        adopt_graph(path, tmp_path / "mine.onnx", Settings(padding=1.1))
    found = identify_graph(path)
    assert set(found.origins) == {"skeleton", "input_hw", "color_order", "mean", "std"}
    assert found.origins["mean"] == "assumed: as in MMPose's rtmo configurations"


def test_mmdeploys_archive_of_it_tells_its_pixels(tmp_path: Path):
    graph = graphs.rtmo(tmp_path / "end2end.onnx")
    steps = [{"type": "BottomupResize", "input_size": [64, 96]},
             {"type": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1], "to_rgb": False}]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "rtmo.zip", "w") as file:
        file.write(graph, "rtmo/end2end.onnx")
        file.writestr("rtmo/pipeline.json", json.dumps({"pipeline": {"tasks": [{"transforms": steps}]}}))
    network, origins = opened(tmp_path / "rtmo.zip"), identify_graph(tmp_path / "rtmo.zip").origins
    assert (network.spec.color_order, origins["color_order"], origins["std"]) == ("bgr", "read", "read")
    assert network.spec.std == pytest.approx((1 / 255,) * 3)
    np.testing.assert_allclose(network.find(PICTURE).boxes.xywh, EXPECTED, rtol=1e-5)


def test_what_needs_crops_refuses_it(tmp_path: Path):
    path = graphs.rtmo(tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match=r"a\.onnx finds boxes and joints at once in whole images; this needs a netw"):
        open_runtime(path)
