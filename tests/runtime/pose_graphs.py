"""Small pose networks laid out as other projects export theirs, with random weights, and what they give in numpy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HW = (64, 48)
POOL = 8
CELLS = 3 * (HW[0] // POOL) * (HW[1] // POOL)
MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])
"""ImageNet's, of 255."""

Rows = Sequence[tuple[str, np.ndarray]]


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The same for the same name."""
    seed = sum(ord(letter) * place for place, letter in enumerate(name, start=1))
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def write(
    path: Path,
    outputs: dict[str, tuple[int, ...]],
    batch: int | str = "batch",
    kind: int = TensorProto.FLOAT,
    last: bool = False,
    before: Rows = (),
    sides: tuple[int | str, int | str] = HW,
    sigmoid: bool = False,
    external: bool = False,
) -> Path:
    """A network that pools its input to 8×6 cells and multiplies them by a matrix for each output.

    outputs: by name, the shape for one crop. kind, last, batch, sides: of the input. before: nodes and constants that
    normalise it. sigmoid: outputs in (0, 1). external: weights in a file beside it.
    """
    nodes, constants = [], []
    value = "pixels"
    steps: list[tuple[str, dict[str, object], list[str]]] = []
    if kind != TensorProto.FLOAT:
        steps.append(("Cast", {"to": TensorProto.FLOAT}, []))
    if last:
        steps.append(("Transpose", {"perm": [0, 3, 1, 2]}, []))
    for name, constant in before:
        constants.append(numpy_helper.from_array(constant.astype(np.float32), f"{name}{len(constants)}"))
        steps.append((name, {}, [constants[-1].name]))
    steps.append(("AveragePool", {"kernel_shape": [POOL, POOL], "strides": [POOL, POOL]}, []))
    steps.append(("Flatten", {"axis": 1}, []))
    for number, (operator, attributes, more) in enumerate(steps):
        nodes.append(helper.make_node(operator, [value, *more], [f"value{number}"], **attributes))
        value = f"value{number}"
    declared = []
    for name, shape in outputs.items():
        size = int(np.prod(shape))
        constants.append(numpy_helper.from_array(weights(name, (CELLS, size)), f"{name}_weights"))
        constants.append(numpy_helper.from_array(np.array([-1, *shape]), f"{name}_shape"))
        nodes.append(helper.make_node("MatMul", [value, f"{name}_weights"], [f"{name}_flat"]))
        nodes.append(helper.make_node("Sigmoid" if sigmoid else "Identity", [f"{name}_flat"], [f"{name}_squashed"]))
        nodes.append(helper.make_node("Reshape", [f"{name}_squashed", f"{name}_shape"], [f"{name}_shaped"]))
        nodes.append(helper.make_node("Cast", [f"{name}_shaped"], [name], to=_float(kind)))
        declared.append(helper.make_tensor_value_info(name, _float(kind), [batch, *shape]))
    shape = [batch, *sides, 3] if last else [batch, 3, *sides]
    pixels = helper.make_tensor_value_info("pixels", kind, shape)
    graph = helper.make_graph(nodes, "pose", [pixels], declared, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(model, str(path), save_as_external_data=external, location="weights.bin" if external else None)
    return path


def _float(kind: int) -> int:
    return TensorProto.FLOAT16 if kind == TensorProto.FLOAT16 else TensorProto.FLOAT


def answer(crops: np.ndarray, name: str, shape: tuple[int, ...], mean: np.ndarray = MEAN, std: np.ndarray = STD,
           bgr: bool = False, sigmoid: bool = False) -> np.ndarray:  # fmt: skip
    """What such a network gives for RGB crops (N, H, W, 3), by numpy alone: (N, *shape)."""
    pixels = (crops[..., ::-1] if bgr else crops).astype(np.float64)
    planes = ((pixels - mean) / std).transpose(0, 3, 1, 2)
    height, width = HW
    cells = planes.reshape(len(crops), 3, height // POOL, POOL, width // POOL, POOL).mean((3, 5)).reshape(-1, CELLS)
    flat = cells @ weights(name, (CELLS, int(np.prod(shape)))).astype(np.float64)
    return (1 / (1 + np.exp(-flat)) if sigmoid else flat).reshape(len(crops), *shape)


def convolutional(path: Path, joints: int = 17) -> Path:
    """Heatmaps from two convolutions with ReLU between, which can be put into int8; inputs are normalised by 255."""
    constants = [
        numpy_helper.from_array(weights("first", (8, 3, 4, 4)), "first"),
        numpy_helper.from_array(weights("bias", (8,)), "bias"),
        numpy_helper.from_array(weights("second", (joints, 8, 3, 3)), "second"),
        numpy_helper.from_array(1 + weights("offset", (joints,)), "offset"),
    ]
    nodes = [
        helper.make_node("Conv", ["input", "first", "bias"], ["a"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second", "offset"], ["output"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    kind, (height, width) = TensorProto.FLOAT, HW
    pixels = helper.make_tensor_value_info("input", kind, ["batch", 3, height, width])
    given = helper.make_tensor_value_info("output", kind, ["batch", joints, height // 4, width // 4])
    graph = helper.make_graph(nodes, "convolutional", [pixels], [given], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def simcc(path: Path, joints: int = 17, bins: int = 2, **how: object) -> Path:
    """SimCC as MMDeploy exports RTMPose."""
    shapes = {"simcc_x": (joints, HW[1] * bins), "simcc_y": (joints, HW[0] * bins)}
    return write(path, shapes, **how)  # type: ignore[arg-type]


def heatmaps(path: Path, joints: int = 17, **how: object) -> Path:
    """Heatmaps of a quarter of the input's size."""
    return write(path, {"output": (joints, HW[0] // 4, HW[1] // 4)}, **how)  # type: ignore[arg-type]


def crops_of(count: int, seed: int = 0) -> np.ndarray:
    """Smooth noise (count, 64, 48, 3) uint8."""
    rough = np.random.default_rng(seed).integers(0, 256, (count, HW[0] // POOL, HW[1] // POOL, 3), dtype=np.uint8)
    return rough.repeat(POOL, axis=1).repeat(POOL, axis=2)


def gaussians(path: Path, centers: np.ndarray, sigma: float = 2.0, height: float = 0.9) -> Path:
    """Heatmaps that are Gaussians around centers (K, 2), in heatmap pixels, whatever the 256×192 crop shows."""
    rows, columns = np.mgrid[:64, :48]
    far = (columns - centers[:, :1, None]) ** 2 + (rows - centers[:, 1:, None]) ** 2
    maps = (height * np.exp(far / (-2 * sigma**2))).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "maps"], ["heatmaps"]),
    ]
    constants = [
        numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "zero"),
        numpy_helper.from_array(maps[None], "maps"),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 256, 192])
    given = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["batch", len(centers), 64, 48])
    graph = helper.make_graph(nodes, "gaussians", [pixels], [given], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
