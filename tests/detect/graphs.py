"""Tiny ONNX files laid out as detectors lay out theirs, whose boxes are known because they are constants."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lightpose.skeletons import Skeleton
from lightpose.types import SPEC_KEY, DetectorSpec, ModelSpec

INPUT_HW = (96, 64)
CELLS = 12 * 8 + 6 * 4 + 3 * 2
PEOPLE = np.array([[8, 4, 24, 28], [30, 2, 60, 31]], np.float32)
"""Two persons: left, top, right, bottom in input pixels."""
SCORES = np.array([0.9, 0.6], np.float32)
TWIN = np.array([[9, 4, 25, 28]], np.float32)
"""The first person once more, overlapping by 0.88, to be suppressed."""
CAR = np.array([[1, 1, 60, 20]], np.float32)
ULTRALYTICS = {"names": "{0: 'person', 1: 'bicycle', 2: 'car'}", "stride": "32", "imgsz": "[96, 64]"}

Shape = tuple[int | str, ...]


def write_graph(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    input_shape: Shape = (1, 3, *INPUT_HW),
    metadata: Mapping[str, str] | None = None,
    input_type: int = TensorProto.FLOAT,
    colors: tuple[str, np.ndarray] | None = None,
    open_outputs: bool = False,
) -> Path:
    """An ONNX file whose outputs are these arrays, whatever the picture.

    colors: an output's name, and three places in it, (3, its rank), that get the first pixel's channels as they come
    in instead. open_outputs: leave the outputs' shapes undeclared.
    """
    nodes, constants, declared = [], [], []
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value, f"{name}_value"))
        nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        declared.append(helper.make_tensor_value_info(name, kind, [None] * value.ndim if open_outputs else value.shape))
    if colors:
        name, places = colors
        height, width = input_shape[-2:]
        step = height * width if input_shape[-1] != 3 else 1
        constants += [
            numpy_helper.from_array(np.array([-1]), "all"),
            numpy_helper.from_array(step * np.arange(3), "channels"),
            numpy_helper.from_array(np.asarray(places, np.int64), "places"),
        ]
        nodes = [node for node in nodes if node.output[0] != name] + [
            helper.make_node("Reshape", ["images", "all"], ["flat"]),
            helper.make_node("Gather", ["flat", "channels"], ["pixel"]),
            helper.make_node("Cast", ["pixel"], ["color"], to=TensorProto.FLOAT),
            helper.make_node("ScatterND", [f"{name}_value", "places", "color"], [name]),
        ]
    graph = helper.make_graph(
        nodes, "detector", [helper.make_tensor_value_info("images", input_type, input_shape)], declared, constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, text in (metadata or {}).items():
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


def picky(path: Path, outputs: Mapping[str, tuple[np.ndarray, int]], metadata: Mapping[str, str]) -> Path:
    """An ONNX file that gives these arrays for a picture with something in it, and empty ones for a plain one.

    outputs: by name, an array and the axis along which it is emptied; -1 for none.
    """
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["most"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("ReduceMin", ["images"], ["least"], axes=[0, 2, 3], keepdims=0),
        helper.make_node("Sub", ["most", "least"], ["spreads"]),
        helper.make_node("ReduceMax", ["spreads"], ["spread"], keepdims=0),
        helper.make_node("Greater", ["spread", "nearly"], ["seen"]),
    ]
    constants, declared = [numpy_helper.from_array(np.float32(0.01), "nearly")], []
    for name, (value, axis) in outputs.items():
        constants.append(numpy_helper.from_array(value, f"{name}_value"))
        size = np.array([value.shape[axis]] if axis >= 0 else [1])
        constants.append(numpy_helper.from_array(size, f"{name}_size"))
        nodes.append(helper.make_node("Expand", ["seen", f"{name}_size"], [f"{name}_seen"]))
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        if axis >= 0:
            nodes.append(helper.make_node("Compress", [f"{name}_value", f"{name}_seen"], [name], axis=axis))
        else:
            nodes.append(helper.make_node("Cast", [f"{name}_seen"], [f"{name}_cast"], to=kind))
            nodes.append(helper.make_node("Mul", [f"{name}_value", f"{name}_cast"], [name]))
        declared.append(helper.make_tensor_value_info(name, kind, [None] * value.ndim))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, *INPUT_HW))
    model = helper.make_model(
        helper.make_graph(nodes, "picky", [images], declared, constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    for key, text in metadata.items():
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


def pose_network(path: Path) -> Path:
    """A file of the kind that `lightpose export` writes, which works in no time: where a crop is red the nose is, and
    the left hand where it is green, the right where it is blue."""
    nodes = [
        helper.make_node("Cast", ["crops"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Div", ["pooled", "white"], ["heatmaps"]),
        helper.make_node("Identity", ["heatmaps"], ["keypoints"]),
    ]
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 64, 48, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 16, 12]) for name in ("heatmaps", "keypoints")
    ]
    graph = helper.make_graph(nodes, "pose", [crops], outputs, [numpy_helper.from_array(np.float32(255), "white")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    skeleton = Skeleton("hands", ("nose", "left_hand", "right_hand"))
    model.metadata_props.add(key=SPEC_KEY, value=ModelSpec("colors", skeleton, (64, 48), decoder="argmax").to_json())
    onnx.save(model, path)
    return path


def ours(
    path: Path, people: np.ndarray = PEOPLE, scores: np.ndarray = SCORES, seen: bool = False, **spec: object
) -> Path:
    """lightpose's own kind. seen: the first three persons' scores are the channels of the first pixel, 0 for black."""
    given = DetectorSpec("test", input_hw=INPUT_HW, **spec)  # type: ignore[arg-type]
    outputs = {"boxes": people[None].astype(np.float32), "scores": scores[None].astype(np.float32)}
    return write_graph(
        path,
        outputs,
        ("N", *INPUT_HW, 3) if not seen else (1, *INPUT_HW, 3),
        {SPEC_KEY: given.to_json()},
        TensorProto.UINT8,
        ("scores", np.array([[0, 0], [0, 1], [0, 2]])) if seen else None,
    )


def _centers(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


def _places() -> tuple[np.ndarray, np.ndarray]:
    """Centres (CELLS, 2) and strides (CELLS, 1) of a grid's places, row by row, stride by stride."""
    centers, strides = [], []
    for stride in (8, 16, 32):
        for y in range(INPUT_HW[0] // stride):
            for x in range(INPUT_HW[1] // stride):
                centers.append((x * stride, y * stride))
                strides.append([stride])
    return np.array(centers, np.float32), np.array(strides, np.float32)


def _grid(anchors: int = 1) -> np.ndarray:
    """(1, anchors * CELLS, 8) rows of centre, size, objectness, person, bicycle, car: the boxes on nothing else."""
    rows = np.zeros((CELLS, 8), np.float32)
    rows[:, :2] = _places()[0] + 4
    rows[:, 2:4] = 10
    rows = np.tile(rows, (anchors, 1))
    rows[20:24, :4] = _centers(np.concatenate([PEOPLE, TWIN, CAR]))
    rows[20:24, 4] = 0.9, 1.0, 0.8, 1.0
    rows[20:24, 5] = 1.0, 0.6, 1.0, 0.1
    rows[20:24, 7] = 0, 0, 0, 0.95
    return rows[None]


def yolox(path: Path, **more: object) -> Path:
    """As exported with --decode_in_inference."""
    return write_graph(path, {"output": _grid()}, **more)


def yolox_raw(path: Path, **more: object) -> Path:
    """As exported without: centres are offsets from a place in strides, sizes their logarithms."""
    rows = _grid()[0]
    places, strides = _places()
    raw = rows.copy()
    raw[:, :2] = (rows[:, :2] - places) / strides
    raw[:, 2:4] = np.log(rows[:, 2:4] / strides)
    return write_graph(path, {"output": raw[None].astype(np.float32)}, **more)


def yolov5(path: Path, **more: object) -> Path:
    return write_graph(path, {"output0": _grid(3)}, metadata={"names": "['person', 'bicycle', 'car']"}, **more)


def yolov6(path: Path, **more: object) -> Path:
    return write_graph(path, {"outputs": _grid()}, **more)


def yolov8(path: Path, **more: object) -> Path:
    rows = _grid()[0]
    columns = np.concatenate([rows[:, :4], rows[:, 5:] * rows[:, 4:5]], 1).T
    return write_graph(path, {"output0": np.ascontiguousarray(columns[None])}, **{"metadata": ULTRALYTICS, **more})


def yolov8_masks(path: Path, **more: object) -> Path:
    """A segmentation export: 32 mask coefficients below the classes, and a second output."""
    rows = _grid()[0]
    masks = np.full((len(rows), 32), 0.99, np.float32)
    columns = np.concatenate([rows[:, :4], rows[:, 5:] * rows[:, 4:5], masks], 1).T
    outputs = {"output0": np.ascontiguousarray(columns[None]), "output1": np.zeros((1, 32, 24, 16), np.float32)}
    return write_graph(path, outputs, metadata=ULTRALYTICS, **more)


def end_to_end(path: Path, **more: object) -> Path:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, :3] = np.concatenate([np.concatenate([PEOPLE, CAR]), [[0.9, 0], [0.6, 0], [0.95, 2]]], 1)
    return write_graph(path, {"output0": rows}, metadata=ULTRALYTICS, **more)


def yolov7_end_to_end(path: Path, **more: object) -> Path:
    """Without a batch; number of the image, corners, class, score."""
    boxes, last = np.concatenate([CAR, PEOPLE]), [[2, 0.95], [0, 0.9], [0, 0.6]]
    rows = np.concatenate([np.zeros((3, 1)), boxes, last], 1).astype(np.float32)
    return write_graph(path, {"output": rows}, **more)


def efficient_nms(path: Path, **more: object) -> Path:
    """Three of a hundred places are taken; the rest holds what was there before."""
    boxes = np.tile(CAR, (100, 1))
    boxes[:3] = np.concatenate([PEOPLE, CAR])
    scores, classes = np.full(100, 0.99, np.float32), np.zeros(100, np.int32)
    scores[:3], classes[:3] = (0.9, 0.6, 0.95), (0, 0, 2)
    outputs = {"num_dets": np.array([3], np.int32), "det_boxes": boxes, "det_scores": scores, "det_classes": classes}
    return write_graph(path, {name: value[None] for name, value in outputs.items()}, **more)


def mmdeploy(path: Path, **more: object) -> Path:
    boxes = np.concatenate([CAR, PEOPLE])
    dets = np.concatenate([boxes, [[0.95], [0.9], [0.6]]], 1).astype(np.float32)
    return write_graph(path, {"dets": dets[None], "labels": np.array([[2, 0, 0]])}, **more)


def torchvision(path: Path, **more: object) -> Path:
    """Without a batch, and with numbers for names, as PyTorch gives them if nobody else does."""
    boxes, scores = np.concatenate([CAR, PEOPLE]), np.array([0.95, 0.9, 0.6], np.float32)
    outputs = {"3025": boxes, "3027": scores, "3026": np.array([3, 1, 1])}
    return write_graph(path, outputs, input_shape=(3, *INPUT_HW), **more)


KINDS: dict[str, Callable[..., Path]] = {
    "lightpose": ours,
    "YOLOX": yolox,
    "YOLOX raw": yolox_raw,
    "YOLOv5, YOLOv7": yolov5,
    "YOLOv6": yolov6,
    "YOLOv8 and later": yolov8,
    "YOLOv8 with masks": yolov8_masks,
    "YOLO end to end": end_to_end,
    "YOLOv7 end to end": yolov7_end_to_end,
    "YOLO with EfficientNMS": efficient_nms,
    "MMDeploy RTMDet": mmdeploy,
    "torchvision": torchvision,
}
"""Files that all hold PEOPLE with SCORES, and a car."""
