"""What a weights file of ours is, and whether it is whole. Graphs (.onnx, .xml) are looked at without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import MissingPackageError, WeightsError, brief
from lightpose.runtime.adopted import AdoptedRuntime
from lightpose.runtime.ir import BIN_KEY, check_bin, read_facts
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.runtime.onnx import Session
from lightpose.types import LARGEST_SIDE, SPEC_KEY, ModelSpec, Spec, read_spec
from lightpose.weights import bundled_weights, file_sha256, find_weights, known_sha256

__all__ = ["Description", "Verdict", "describe_weights", "has_description", "verify_weights"]

_TYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
"""Types of a graph's inputs, in ONNX Runtime's words."""


@dataclass(frozen=True)
class Description:
    """What a weights file says of itself.

    size: bytes, of an .xml with its .bin. sha256: of the whole file; an .xml holds that of its .bin. known_as: the
    bundled weights that it is, to the bit, or None.
    """

    path: Path
    size: int
    sha256: str
    known_as: str | None
    spec: Spec


@dataclass(frozen=True)
class Verdict:
    """A file that was found whole: what it is, and what was looked at."""

    file: Description
    checks: tuple[str, ...]


def describe_weights(name_or_path: str | Path) -> Description:
    """Read what bundled weights, an .onnx, .xml or .safetensors file say of themselves.

    Raises WeightsError if the file is missing, damaged, or not written by lightpose.
    """
    path = find_weights(name_or_path)
    metadata = _metadata(path)
    if SPEC_KEY not in metadata:
        raise WeightsError(f"{path} does not say what it is for; it was not written by lightpose")
    digest = file_sha256(path)
    known_as = next((name for name, known in known_sha256().items() if known == digest), None)
    size = sum(file.stat().st_size for file in _files(path))
    try:
        return Description(path, size, digest, known_as, read_spec(metadata[SPEC_KEY]))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def has_description(path: Path) -> bool:
    """Whether an .onnx, .xml or .safetensors file is one of ours. Raises WeightsError if it is damaged."""
    return SPEC_KEY in _metadata(path)


def verify_weights(name_or_path: str | Path) -> Verdict:
    """Look whether a weights file is whole and usable; bundled ones must be as they were packed, to the bit.

    A graph is run on noise, an .xml file by OpenVINO. A .safetensors file is loaded into its network, which needs
    torch. Raises WeightsError, which says what is wrong.
    """
    path = find_weights(name_or_path)
    packed = next((name for name, each in bundled_weights().items() if each.samefile(path)), None)
    if packed and file_sha256(path) != known_sha256().get(packed):
        raise WeightsError(f"{path} is not the file that lightpose was packed with; install lightpose again")
    file = describe_weights(path)
    checks = ["as packed"] if file.known_as else []
    checks += (_check_graph if path.suffix.lower() in _RUN else _check_tensors)(file)
    return Verdict(file, tuple(checks))


def _files(path: Path) -> list[Path]:
    """What a weights file consists of: itself, and of an .xml its .bin."""
    return [path, path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else [path]


def _metadata(path: Path) -> dict[str, str]:
    """What stands beside the tensors of an .onnx, .xml or .safetensors file; nothing for other files."""
    if path.suffix.lower() == ".onnx":
        return Session(path, threads=1).metadata
    if path.suffix.lower() == ".xml":
        facts = read_facts(path)
        check_bin(path, facts.get(BIN_KEY))
        return facts
    if path.suffix.lower() != ".safetensors":
        return {}
    try:
        import safetensors
    except ImportError as error:
        raise MissingPackageError("safetensors", "train") from error
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({brief(error)})") from error


def _check_graph(file: Description) -> list[str]:
    """Run a graph on noise; its outputs must be finite, and of the shapes that its spec promises."""
    read, run = _RUN[file.path.suffix.lower()]
    checks = []
    for name, value in read(file.path):
        _check_finite(file.path, name, value)
        checks = ["weights finite"]
    outputs = run(file)
    for name, value in outputs.items():
        _check_finite(file.path, name, value)
    for name, shape in file.spec.output_shapes.items():
        found = outputs[name].shape if name in outputs else "none"
        if found != shape:
            raise WeightsError(f"{file.path} gives {name} of shape {found}, not {shape} as its description says")
    return [*checks, "runs", "outputs finite"]


def _run_onnx(file: Description) -> dict[str, np.ndarray[Any, Any]]:
    """A graph's outputs for noise, by name. Numbers that are none can end in an error too: they become indices."""
    if isinstance(file.spec, ModelSpec) and file.spec.adopted:
        crops = np.random.default_rng(0).integers(0, 256, (1, *file.spec.input_hw, 3), dtype=np.uint8)
        if file.spec.family == "people":
            found = OneStageRuntime(file.path, file.spec, threads=1).find(crops[0], threshold=0.0)
            return {"boxes": found.boxes.xywh, "joints": found.keypoints}
        return {file.spec.family: AdoptedRuntime(file.path, file.spec, threads=1).heatmaps(crops)}
    session = Session(file.path, threads=1)
    noise = {node.name: _noise(node, file) for node in session.inputs}
    try:
        outputs = session.run(noise)
    except WeightsError as error:
        raise WeightsError(f"{file.path} does not run on noise, so its weights are damaged ({error})") from error
    return dict(zip([node.name for node in session.outputs], outputs, strict=True))


def _noise(node: Any, file: Description) -> np.ndarray[Any, Any]:
    """Values for an input of a graph; sides that it leaves open are 1 for the batch and else the spec's."""
    if node.type not in _TYPES:
        raise WeightsError(f"{file.path} takes {node.type} for {node.name}, which no graph of lightpose does")
    sides = iter(file.spec.input_hw)
    shape = [
        side if isinstance(side, int) else 1 if not number else next(sides, 1) for number, side in enumerate(node.shape)
    ]
    if min(shape, default=1) < 0 or math.prod(shape) > 3 * LARGEST_SIDE**2:
        raise WeightsError(f"{file.path} takes {shape} for {node.name}, and no crop is as large")
    return np.random.default_rng(0).integers(0, 256, shape).astype(_TYPES[node.type])


def _run_openvino(file: Description) -> dict[str, np.ndarray[Any, Any]]:
    from lightpose.runtime.openvino import OpenVinoRuntime

    graph = OpenVinoRuntime(file.path, threads=1)
    noise = np.random.default_rng(0).integers(0, 256, (1, *graph.spec.input_hw, 3), dtype=np.uint8)
    return {"heatmaps": graph.heatmaps(noise), "keypoints": graph.keypoints(noise)}


def _onnx_constants(path: Path) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The graph's weights themselves, where the package onnx is there to read them: a ReLU can hide a NaN."""
    try:
        import onnx
    except ImportError:
        return
    for constant in onnx.load(str(path)).graph.initializer:
        yield constant.name, onnx.numpy_helper.to_array(constant)


def _openvino_constants(path: Path) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    from lightpose.runtime.openvino import read_graph

    for node in read_graph(path)[0].get_ops():
        if node.get_type_name() == "Constant":
            yield node.get_friendly_name(), node.get_data()


_RUN = {".onnx": (_onnx_constants, _run_onnx), ".xml": (_openvino_constants, _run_openvino)}
"""How the weights of a kind of graph are read, and how it is run on noise."""


def _check_tensors(file: Description) -> list[str]:
    """Look at every number of a .safetensors file, and load them into its network."""
    for name, values in _tensors(file.path):
        _check_finite(file.path, name, values)
    try:
        from lightpose.weights.network import load_any
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    load_any(file.path)
    return ["weights finite", "fits its network"]


def _tensors(path: Path) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    import safetensors

    with safetensors.safe_open(str(path), framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)


def _check_finite(path: Path, name: str, values: np.ndarray[Any, Any]) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise WeightsError(f"{path}: {name} has values that are no numbers; it is damaged or its training diverged")
