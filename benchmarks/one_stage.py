"""Networks that find boxes and joints at once, as ONNX files such as Ultralytics and MMDeploy export them.

    python benchmarks/one_stage.py yolo-pose yolo-pose.onnx
    python benchmarks/one_stage.py rtmo rtmo.onnx --joints 26

Only what their files give and how that is decoded is theirs; the layers before are a few convolutions, and all weights
are random from a seed. So the files say nothing of accuracy or of the projects' speed: they are for holding what
lightpose reads from a file against what other programs read from the same one.

Sources: Maji et al., YOLO-Pose (arXiv 2204.06806), and Ultralytics' documentation of exports: a column of centre, size,
score and joints for each place of strides 8, 16 and 32; with NMS, or without need of it, a row of corners, score, class
and joints for each person. Lu et al., RTMO (arXiv 2312.07526), and MMDeploy's pose-detection_rtmo configurations: boxes
with scores and joints of those that its NMS keeps, from strides 16 and 32.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import tyro
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Name", "export"]

Name = Literal["yolo-pose", "yolo-pose-end-to-end", "rtmo"]
STRIDES: dict[Name, tuple[int, ...]] = {
    "yolo-pose": (8, 16, 32),
    "yolo-pose-end-to-end": (8, 16, 32),
    "rtmo": (16, 32),
}
MOST = 300
"""Rows of the end-to-end form."""
CHANNELS = 16
RARE = 4.0
"""Taken from the scores before the sigmoid: most places show nobody."""


@dataclass
class _Graph:
    """Nodes and constants as they are added."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str | NDArray[Any], outputs: int = 1, **attributes: Any) -> str:
        """A node; arrays among its inputs become constants. The name of its first output; others end in _1, _2."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        name = f"{operator.lower()}{len(self.nodes)}"
        given = [name, *(f"{name}_{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, names, given, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """A constant's name."""
        self.constants.append(numpy_helper.from_array(value, f"constant{len(self.constants)}"))
        return str(self.constants[-1].name)

    def part(self, value: str, start: int, end: int, axis: int = 1) -> str:
        """Some of a value's numbers along an axis."""
        return self.add("Slice", value, np.array([start]), np.array([end]), np.array([axis]))


def export(
    name: Name, path: Path, joints: int = 17, hw: tuple[int, int] = (640, 640), seed: int = 0, said: bool = True
) -> Path:
    """Write such a file. hw: height and width of its input, multiples of 32. said: with Ultralytics' metadata."""
    graph, generator = _Graph(), np.random.default_rng(seed)
    rows, places, strides = _rows(graph, generator, STRIDES[name], joints, hw, 255.0 if name == "rtmo" else 1.0)
    if name == "rtmo":
        outputs = _rtmo(graph, rows, places, strides, joints)
    else:
        outputs = _yolo(graph, rows, places, strides, joints, end_to_end=name != "yolo-pose")
    declared = []
    for output, (value, shape) in outputs.items():
        graph.nodes.append(helper.make_node("Identity", [value], [output]))
        declared.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *hw])
    whole = helper.make_graph(graph.nodes, name, [images], declared, graph.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if name != "rtmo" and said:
        told = {"task": "pose", "names": "{0: 'person'}", "kpt_shape": f"[{joints}, 3]", "imgsz": str(list(hw))}
        for key, text in told.items():
            model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return path


def _rows(
    graph: _Graph,
    generator: np.random.Generator,
    strides: tuple[int, ...],
    joints: int,
    hw: tuple[int, int],
    white: float,
) -> tuple[str, NDArray[Any], NDArray[Any]]:
    """Raw numbers (1, 5 + 3 K, M) for each place of each stride; the places' middles (2, M) and strides (1, M)."""
    given, middles, steps = [], [], []
    value, done = "images", 1
    for stride in strides:
        step = stride // done
        scale = (1 / white if done == 1 else 1) * np.sqrt(2 / ((3 if done == 1 else CHANNELS) * step * step))
        shape = (CHANNELS, 3 if done == 1 else CHANNELS, step, step)
        weight = (scale * generator.normal(0, 8 if done == 1 else 1, shape)).astype(np.float32)
        conv = graph.add("Conv", value, weight, kernel_shape=[step, step], strides=[step, step])
        value, done = graph.add("LeakyRelu", conv, alpha=0.1), stride
        head = generator.normal(0, 0.4, (5 + 3 * joints, CHANNELS, 3, 3)).astype(np.float32) / 3
        raw = graph.add("Conv", value, head, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        given.append(graph.add("Reshape", raw, np.array([1, 5 + 3 * joints, -1])))
        y, x = np.mgrid[: hw[0] // stride, : hw[1] // stride]
        middles.append(np.stack([x.ravel(), y.ravel()]) + 0.5)
        steps.append(np.full((1, x.size), stride))
    middle, step_of = (np.concatenate(each, axis=1).astype(np.float32) for each in (middles, steps))
    return graph.add("Concat", *given, axis=2), middle, step_of


def _number(value: float) -> NDArray[Any]:
    return np.array([value], np.float32)


def _joints(graph: _Graph, rows: str, places: NDArray[Any], strides: NDArray[Any], joints: int) -> str:
    """(1, K, 3, M): x, y in pixels, (2 · raw + middle - 0.5) · stride, and a score by the sigmoid."""
    raw = graph.add("Reshape", graph.part(rows, 5, 5 + 3 * joints), np.array([1, joints, 3, -1]))
    twice = graph.add("Mul", graph.part(raw, 0, 2, 2), _number(2))
    points = graph.add("Mul", graph.add("Add", twice, places - np.float32(0.5)), strides)
    return graph.add("Concat", points, graph.add("Sigmoid", graph.part(raw, 2, 3, 2)), axis=2)


def _corners(graph: _Graph, rows: str, places: NDArray[Any], strides: NDArray[Any]) -> tuple[str, str]:
    """Left and top, right and bottom (1, 2, M) in pixels, from distances of a stride to twelve."""
    far = graph.add("Add", graph.add("Mul", graph.add("Sigmoid", graph.part(rows, 0, 4)), _number(11)), _number(1))
    first = graph.add("Mul", graph.add("Sub", places, graph.part(far, 0, 2)), strides)
    return first, graph.add("Mul", graph.add("Add", graph.part(far, 2, 4), places), strides)


def _yolo(
    graph: _Graph, rows: str, places: NDArray[Any], strides: NDArray[Any], joints: int, end_to_end: bool
) -> dict[str, tuple[str, list[int | str]]]:
    first, last = _corners(graph, rows, places, strides)
    scores = graph.add("Sigmoid", graph.add("Sub", graph.part(rows, 4, 5), _number(RARE)))
    flat = graph.add("Reshape", _joints(graph, rows, places, strides, joints), np.array([1, 3 * joints, -1]))
    count = places.shape[1]
    if not end_to_end:
        center = graph.add("Mul", graph.add("Add", first, last), _number(0.5))
        size = graph.add("Sub", last, first)
        return {"output0": (graph.add("Concat", center, size, scores, flat, axis=1), [1, 5 + 3 * joints, count])}
    kind = graph.add("Mul", scores, _number(0))
    table = graph.add("Concat", first, last, scores, kind, flat, axis=1)
    best = graph.add("TopK", scores, np.array([MOST]), outputs=2, axis=2)
    chosen = graph.add("Gather", table, graph.add("Reshape", f"{best}_1", np.array([-1])), axis=2)
    return {"output0": (graph.add("Transpose", chosen, perm=[0, 2, 1]), [1, MOST, 6 + 3 * joints])}


def _rtmo(
    graph: _Graph, rows: str, places: NDArray[Any], strides: NDArray[Any], joints: int
) -> dict[str, tuple[str, list[int | str]]]:
    first, last = _corners(graph, rows, places, strides)
    scores = graph.add("Sigmoid", graph.add("Sub", graph.part(rows, 4, 5), _number(RARE)))
    boxes = graph.add("Transpose", graph.add("Concat", first, last, axis=1), perm=[0, 2, 1])
    kept = graph.add("NonMaxSuppression", boxes, scores, np.array([200]), _number(0.65), _number(0.1))
    numbers = graph.add("Reshape", graph.part(kept, 2, 3), np.array([-1]))
    with_scores = graph.add("Concat", boxes, graph.add("Transpose", scores, perm=[0, 2, 1]), axis=2)
    people = graph.add("Transpose", _joints(graph, rows, places, strides, joints), perm=[0, 3, 1, 2])
    return {
        "dets": (graph.add("Gather", with_scores, numbers, axis=1), [1, "people", 5]),
        "keypoints": (graph.add("Gather", people, numbers, axis=1), [1, "people", joints, 3]),
    }


@dataclass(frozen=True)
class Options:
    """name: of the kind. out: the .onnx file."""

    name: tyro.conf.Positional[Name]
    out: tyro.conf.Positional[Path]
    joints: int = 17
    input_hw: tuple[int, int] = (640, 640)
    seed: int = 0


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    print(f"wrote {export(chosen.name, chosen.out, chosen.joints, chosen.input_hw, chosen.seed)}")
